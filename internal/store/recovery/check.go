package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Finding is one thing that a check found wrong.
type Finding struct {
	Run     string `json:"run,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	At      int64  `json:"at,omitempty"` // offset in the journal
	To      int64  `json:"to,omitempty"` // where what is wrong ends, if that is known
	What    string `json:"what"`
	// Repaired says what was done about it; empty for nothing.
	Repaired string `json:"repaired,omitempty"`
}

// Checked sums a check up.
type Checked struct {
	Attempts int   `json:"attempts"`
	Blocks   int   `json:"blocks"`
	Bytes    int64 `json:"bytes"` // of journals, plain
	Objects  int   `json:"objects"`
	Findings int   `json:"findings"`
}

// checker is one check on its way.
type checker struct {
	store  *store.Store
	repair bool
	report func(Finding)
	sum    Checked
}

// Check reads every journal again: the checksum of every record, the digest at the end,
// and whether blocks, attempts and runs say what the journal says. With repair it writes
// the tables anew from the journals, and cuts a journal that was still arriving off where
// its bytes end, so that its agent can send the rest. It looks for objects that nobody
// refers to, and for those that are missing.
func Check(ctx context.Context, s *store.Store, repair bool, report func(Finding)) (Checked, error) {
	c := &checker{store: s, repair: repair, report: report}
	last := tables.AttemptKey{}
	for {
		keys, err := c.next(ctx, last)
		if err != nil {
			return c.sum, err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			if err := c.attempt(ctx, key); err != nil {
				return c.sum, fmt.Errorf("check run %s attempt %d: %w", key.Run, key.Attempt, err)
			}
		}
		last = keys[len(keys)-1]
	}
	return c.sum, c.objects(ctx)
}

func (c *checker) found(f Finding) {
	c.sum.Findings++
	c.report(f)
}

// next lists the attempts after one.
func (c *checker) next(ctx context.Context, last tables.AttemptKey) ([]tables.AttemptKey, error) {
	rows, err := c.store.Reader.QueryContext(ctx, `SELECT run_id, attempt FROM attempts
		WHERE (run_id, attempt) > ($1, CAST($2 AS BIGINT)) ORDER BY run_id, attempt LIMIT 200`, last.Run, last.Attempt)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var keys []tables.AttemptKey
	for rows.Next() {
		var key tables.AttemptKey
		if err := rows.Scan(&key.Run, &key.Attempt); err != nil {
			return nil, fmt.Errorf("list attempts: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// replay is a journal read again.
type replay struct {
	state index.State
	facts []index.Fact
	heads map[int64]index.BlockHead // by start, as they should be
	wrong bool                      // a head differs
	bad   int64                     // where the first bytes are that cannot be read; 0 for none
	why   string
	live  bool // the bad bytes are not packed: they were still arriving
	// damage: the bad bytes were read, and are not what was stored.
	damage bool
	holes  bool
}

// attempt checks one attempt.
func (c *checker) attempt(ctx context.Context, key tables.AttemptKey) error {
	_, row, err := tables.ScanAttempt(c.store.Reader.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt))
	if err != nil {
		return err
	}
	c.sum.Attempts++
	r := replay{state: index.NewState(key.Run, key.Attempt), heads: map[int64]index.BlockHead{}, holes: row.Cut != nil}
	if err := c.replay(ctx, key, row, &r); err != nil {
		return err
	}
	switch {
	case r.bad != 0:
		return c.badBytes(ctx, key, row, &r)
	case r.holes: // what was cut out cannot be folded again
		return nil
	case r.wrong || !sameState(&r.state, &row.State):
		return c.rebuild(ctx, key, row, &r, "the index of the journal differs from the journal")
	}
	return c.run(ctx, key, row, &r)
}

// replay reads all blocks of an attempt in order.
func (c *checker) replay(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	if row.Size > 0 {
		f, err := index.Fold(r.state, headerOf(&row.State))
		if err != nil {
			return err
		}
		r.state = f.State
	}
	next := int64(journal.HeaderSize)
	for at := int64(0); ; {
		heads, err := c.store.Blocks(ctx, key.Run, key.Attempt, at, 64)
		if err != nil {
			return err
		}
		if len(heads) == 0 {
			break
		}
		for _, h := range heads {
			if h.Start != next && !r.holes {
				r.markBad(next, "the bytes from here to "+fmt.Sprint(h.Start)+" are missing")
				return nil
			}
			if err := c.block(ctx, key, h, r); err != nil || r.bad != 0 {
				return err
			}
			at, next = h.Start+h.Size, h.Start+h.Size
		}
	}
	if next < row.Size {
		r.markBad(next, fmt.Sprintf("the journal has %d bytes here, and should have %d", next, row.Size))
		r.live = true
	}
	return nil
}

func (r *replay) markBad(at int64, why string) { r.bad, r.why = at, why }

// headerOf is the journal's header, which no block holds.
func headerOf(s *index.State) []byte {
	if journal.CheckHeader(s.Header) == nil {
		return s.Header
	}
	return journal.AppendHeader(nil)
}

// block reads one block and folds it.
func (c *checker) block(ctx context.Context, key tables.AttemptKey, h index.BlockHead, r *replay) error {
	c.sum.Blocks++
	data, err := c.store.BlockData(ctx, key.Run, key.Attempt, h.Start)
	if err == nil && int64(len(data)) != h.Size {
		err = fmt.Errorf("%d bytes instead of %d", len(data), h.Size)
	}
	if err == nil && r.holes {
		err = checkRecords(data, h.Start)
	}
	if err == nil && !r.holes {
		err = r.fold(h, data)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b, lerr := c.store.Locate(ctx, key.Run, key.Attempt, h.Start)
		if lerr != nil {
			return lerr
		}
		r.live, r.damage = b.Codec == blocks.Plain, blocks.IsDamage(err)
		r.markBad(h.Start, err.Error())
		return nil
	}
	c.sum.Bytes += h.Size
	return nil
}

func checkRecords(data []byte, start int64) error {
	for at := int64(0); at < int64(len(data)); {
		_, n, err := journal.Next(data[at:], start+at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// fold goes on with the state of the journal, and compares the head.
func (r *replay) fold(h index.BlockHead, data []byte) error {
	f, err := index.Fold(r.state, data)
	if err != nil {
		return err
	}
	if f.Tail != 0 || f.Head.Size != h.Size {
		return errors.New("a record is cut off")
	}
	r.facts = append(r.facts, f.Facts...)
	r.state = f.State
	r.heads[h.Start] = f.Head
	f.Head.Open, h.Open = nil, nil // they name blocks as they were when they arrived
	r.wrong = r.wrong || !reflect.DeepEqual(asStored(f.Head), asStored(h))
	return nil
}

// asStored is a value as it comes back from the database: times lose their zone.
func asStored(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// sameState compares what matters to readers and to the next append.
func sameState(a, b *index.State) bool {
	x, y := *a, *b
	x.Streams, y.Streams = nil, nil // they name blocks as they were when they arrived
	return asStored(x) == asStored(y)
}

// run checks that the run shows what its last attempt's journal says.
func (c *checker) run(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	if !r.state.Known() {
		return nil
	}
	run, err := c.store.Run(ctx, key.Run)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return c.rebuild(ctx, key, row, r, "the run is missing")
	}
	if err != nil || run.Attempt != key.Attempt {
		return err
	}
	if run.Output.Bytes != r.state.View.Output.Bytes || run.Output.Lines != r.state.View.Output.Lines || run.Job != r.state.View.Job {
		return c.rebuild(ctx, key, row, r, "the run shows something else than its journal")
	}
	return nil
}

// objects compares the archive with the table of objects.
func (c *checker) objects(ctx context.Context) error {
	live, err := c.store.ReadTexts(ctx, `SELECT name FROM objects WHERE state = 'live' ORDER BY name`)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	c.sum.Objects = len(live)
	if c.store.Archive == nil {
		return nil
	}
	unused, err := c.store.ReadTexts(ctx, `SELECT name FROM objects o WHERE state = 'live' AND NOT EXISTS (SELECT 1 FROM blocks WHERE object = o.id)`)
	if err != nil {
		return fmt.Errorf("look for unused objects: %w", err)
	}
	for _, name := range unused {
		f := Finding{What: "object " + name + " is in use by nothing"}
		if c.repair {
			if err := c.markObjectDead(ctx, name); err != nil {
				return err
			}
			f.Repaired = "it will be deleted"
		}
		c.found(f)
	}
	for _, name := range live {
		_, err := c.store.Archive.ReadRange(ctx, name, 0, 0)
		if errors.Is(err, fs.ErrNotExist) {
			c.found(Finding{What: "object " + name + " is not in the archive"})
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) markObjectDead(ctx context.Context, name string) error {
	return c.store.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `UPDATE objects SET state = 'dead' WHERE name = $1`, name)
		return err
	})
}

// ended is the state of a run whose attempt's journal holds the outcome.
func ended(view *job.Run) (job.State, bool) {
	return view.State, view.Outcome != nil && view.State.Terminal()
}
