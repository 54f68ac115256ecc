package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A journal longer than the limit keeps the beginning and the end, each about half as long
// as the limit. What is in
// between goes block by block, while the job prints on; the gap that this makes in each
// stream is declared with its exact size. The journal's length and digest stay those of
// what arrived.

// cut is what was dropped of a journal.
type cut struct {
	Gaps []job.Gap `json:"gaps"`
	// Bytes is how much of the journal, and To where in it the gap ends.
	Bytes int64 `json:"bytes"`
	To    int64 `json:"to"`
	// Before is what each stream had printed where the gap begins.
	Before []streamBytes `json:"before"`
	// Damaged is what a check found damaged, and dropped; see damage.go.
	Damaged []job.Gap `json:"damaged,omitempty"`
}

type streamBytes struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Bytes  int64      `json:"bytes"`
}

// trimSlack is how much more than needed goes at a time, so that this is done seldom.
func trimSlack(limit int64) int64 { return limit / 8 }

// trimDue reports whether a journal is long enough to be trimmed.
func (a *attemptRow) trimDue(limit int64) bool {
	if limit <= 0 {
		return false
	}
	var gone int64
	if a.Cut != nil {
		gone = a.Cut.Bytes
	}
	return a.Size-gone > limit
}

// trimOne trims one journal that is due, and reports whether there was one. One that cannot
// be trimmed rests, so that the others have their turn.
func (s *Maintenance) trimOne(ctx context.Context, now time.Time) (bool, error) {
	if s.runLog <= 0 {
		return false, nil
	}
	var key attemptKey
	err := s.Reader.QueryRowContext(ctx, `SELECT run_id, attempt FROM attempts WHERE trim_at <= $1
		AND`+rests(troubleTrim, attemptID, 2)+` ORDER BY trim_at LIMIT 1`, db.Micros(now), db.Micros(s.Now())).Scan(&key.run, &key.attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a journal to trim: %w", err)
	}
	if err := s.trim(ctx, key); err != nil {
		return true, s.skip(ctx, troubleTrim, key.String(), fmt.Errorf("trim the journal of run %s attempt %d: %w", key.run, key.attempt, err))
	}
	s.done(ctx, troubleTrim, key.String())
	return true, nil
}

// trim drops some blocks of the middle of a journal, or finds that there are none.
func (s *Maintenance) trim(ctx context.Context, key attemptKey) error {
	_, row, err := scanAttempt(s.Reader.QueryRowContext(ctx, `SELECT `+attemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, key.run, key.attempt))
	if err != nil {
		return err
	}
	half := s.runLog / 2
	c := cut{To: journal.HeaderSize}
	if row.Cut != nil {
		c = *row.Cut
		c.Gaps, c.Before = slices.Clone(c.Gaps), slices.Clone(c.Before)
	}
	blocks, err := s.middle(ctx, key, max(half, c.To), row.Size-half+trimSlack(s.runLog))
	if err != nil {
		return err
	}
	if len(blocks) > 0 && c.Bytes == 0 {
		if err := s.countBefore(ctx, key, blocks[0].Start, &c); err != nil {
			return err
		}
	}
	for _, h := range blocks {
		if err := s.countBlock(ctx, key, h, &c); err != nil {
			return err
		}
	}
	return s.drop(ctx, key, row, blocks, &c)
}

// middle reads the heads of up to deleteBlocksMost blocks between two offsets of a journal.
func (s *Maintenance) middle(ctx context.Context, key attemptKey, from, to int64) ([]index.BlockHead, error) {
	const atOnce = 64
	heads, err := s.Blocks(ctx, key.run, key.attempt, from, atOnce)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(heads, func(h index.BlockHead) bool { return h.Start < from || h.Start+h.Size > to }), nil
}

// countBefore counts what each stream printed before the gap, which is where it lies.
func (s *Maintenance) countBefore(ctx context.Context, key attemptKey, to int64, c *cut) error {
	for at := int64(journal.HeaderSize); at < to; {
		heads, err := s.Blocks(ctx, key.run, key.attempt, at, 16)
		if err != nil || len(heads) == 0 {
			return err
		}
		for _, h := range heads {
			if at = h.Start + h.Size; h.Start >= to {
				return nil
			}
			err := s.eachOutput(ctx, key, h, func(o journal.Output) {
				c.before(o.Step, o.Stream).Bytes += int64(len(o.Data))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cut) before(step int, stream job.Stream) *streamBytes {
	for i := range c.Before {
		if b := &c.Before[i]; b.Step == step && b.Stream == stream {
			return b
		}
	}
	c.Before = append(c.Before, streamBytes{Step: step, Stream: stream})
	return &c.Before[len(c.Before)-1]
}

// countBlock adds a block that goes to the gaps.
func (s *Maintenance) countBlock(ctx context.Context, key attemptKey, h index.BlockHead, c *cut) error {
	c.Bytes += h.Size
	c.To = h.Start + h.Size
	return s.eachOutput(ctx, key, h, func(o journal.Output) {
		g := c.gap(o.Step, o.Stream, h.FirstAt)
		g.Bytes += int64(len(o.Data))
		for _, b := range o.Data {
			if b == '\n' {
				g.Lines++
			}
		}
	})
}

func (c *cut) gap(step int, stream job.Stream, at time.Time) *job.Gap {
	for i := range c.Gaps {
		if g := &c.Gaps[i]; g.Step == step && g.Stream == stream {
			return g
		}
	}
	c.Gaps = append(c.Gaps, job.Gap{
		Step: step, Stream: stream, AtBytes: c.before(step, stream).Bytes, Reason: index.CutReason, At: at,
	})
	return &c.Gaps[len(c.Gaps)-1]
}

// eachOutput calls fn for each output record of a block.
func (s *Journals) eachOutput(ctx context.Context, key attemptKey, h index.BlockHead, fn func(journal.Output)) error {
	data, err := s.BlockData(ctx, key.run, key.attempt, h.Start)
	if err != nil {
		return err
	}
	data = data[:min(h.Size, int64(len(data)))]
	for at := int64(0); at < int64(len(data)); {
		rec, n, err := journal.Next(data[at:], h.Start+at)
		if err != nil {
			return err
		}
		at += int64(n)
		if rec.Type != journal.TypeOutput {
			continue
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			return err
		}
		fn(o)
	}
	return nil
}

// drop takes the blocks away, if the journal's gap is still what it was, and shows the gap
// in the run.
func (s *Maintenance) drop(ctx context.Context, key attemptKey, before *attemptRow, blocks []index.BlockHead, c *cut) error {
	return s.Write(ctx, db.Runs(key.run), func(t *db.Tx) error {
		run, err := lockRun(ctx, t, key.run)
		if err != nil {
			return err
		}
		row, err := lockAttempt(ctx, t, key)
		if err != nil {
			return err
		}
		if !sameCut(row.Cut, before.Cut) {
			return nil // another server was faster
		}
		if len(blocks) == 0 {
			_, err := t.ExecContext(ctx, `UPDATE attempts SET trim_at = NULL WHERE run_id = $1 AND attempt = $2`, key.run, key.attempt)
			return err
		}
		if err := s.dropBlocks(ctx, t, key, blocks[0].Start, c.To); err != nil {
			return err
		}
		return storeCut(ctx, t, key, &run, row, c)
	})
}

func sameCut(a, b *cut) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.To == b.To && a.Bytes == b.Bytes
}

// dropBlocks takes away the bytes of blocks. Rows that hold samples stay, for the charts.
func (s *Journals) dropBlocks(ctx context.Context, t *db.Tx, key attemptKey, from, to int64) error {
	const which = `run_id = $1 AND attempt = $2 AND start >= $3 AND start < $4 AND codec <> 2`
	args := []any{key.run, key.attempt, from, to}
	objects, err := db.NumbersOf(ctx, t, `SELECT DISTINCT object FROM blocks WHERE object IS NOT NULL AND `+which, args...)
	if err != nil {
		return err
	}
	var freed int64
	err = t.QueryRowContext(ctx, `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE samples IS NOT NULL AND `+which, args...).Scan(&freed)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE blocks SET codec = 2, data = $5, stored = 0, segment = NULL, object = NULL, place = NULL
		WHERE samples IS NOT NULL AND `+which, append(args, []byte{})...)
	if err != nil {
		return err
	}
	if err := s.forgetBlocks(ctx, t, which, args...); err != nil {
		return err
	}
	if err := releaseObjects(ctx, t, objects); err != nil {
		return err
	}
	return s.count(ctx, t, -freed)
}

// withCut is the run with the gaps that trimming made in its attempt. They stand before
// those that the journal itself tells of.
func withCut(run job.Run, c *cut) job.Run {
	if c == nil {
		return run
	}
	run.Output.Gaps = slices.Concat(c.Gaps, c.Damaged, run.Output.Gaps)
	run.Output.Complete = false
	return run
}
