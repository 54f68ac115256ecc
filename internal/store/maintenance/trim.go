package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/journal"
)

// trimOne trims one due journal, and reports whether there was one. A journal that cannot be trimmed is
// paused, so that the others get their turn.
func (s *Maintenance) trimOne(ctx context.Context, now time.Time) (bool, error) {
	if s.RunLog <= 0 {
		return false, nil
	}
	var key tables.AttemptKey
	err := s.Reader.QueryRowContext(ctx, `SELECT run_id, attempt FROM attempts WHERE trim_at <= $1
		AND`+troubled.NotPaused(troubled.Trim, tables.AttemptID, 2)+` ORDER BY trim_at LIMIT 1`, db.Micros(now), db.Micros(s.Now())).Scan(&key.Run, &key.Attempt)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("select a journal to trim: %w", err)
	}
	if err := s.trim(ctx, key); err != nil {
		return true, s.Skip(ctx, troubled.Trim, key.String(), fmt.Errorf("trim the journal of run %s attempt %d: %w", key.Run, key.Attempt, err))
	}
	s.ClearFailure(ctx, troubled.Trim, key.String())
	return true, nil
}

// trim drops some blocks of the middle of a journal, if there are any.
func (s *Maintenance) trim(ctx context.Context, key tables.AttemptKey) error {
	_, row, err := tables.ScanAttempt(s.Reader.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt))
	if err != nil {
		return err
	}
	half := s.RunLog / 2
	c := tables.Cut{To: journal.HeaderSize}
	if row.Cut != nil {
		c = *row.Cut
		c.Gaps, c.Before = slices.Clone(c.Gaps), slices.Clone(c.Before)
	}
	blocks, err := s.middle(ctx, key, max(half, c.To), row.Size-half+tables.TrimSlack(s.RunLog))
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

// middle returns the heads of some blocks between two offsets of a journal.
func (s *Maintenance) middle(ctx context.Context, key tables.AttemptKey, from, to int64) ([]index.BlockHead, error) {
	const atOnce = 64
	heads, err := s.Blocks(ctx, key.Run, key.Attempt, from, atOnce)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(heads, func(h index.BlockHead) bool { return h.Start < from || h.Start+h.Size > to }), nil
}

// countBefore counts what each stream printed before the gap.
func (s *Maintenance) countBefore(ctx context.Context, key tables.AttemptKey, to int64, c *tables.Cut) error {
	for at := int64(journal.HeaderSize); at < to; {
		heads, err := s.Blocks(ctx, key.Run, key.Attempt, at, 16)
		if err != nil || len(heads) == 0 {
			return err
		}
		for _, h := range heads {
			if at = h.Start + h.Size; h.Start >= to {
				return nil
			}
			err := s.EachOutput(ctx, key, h, func(o journal.Output) {
				c.StreamBefore(o.Step, o.Stream).Bytes += int64(len(o.Data))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// countBlock adds a dropped block to the gaps.
func (s *Maintenance) countBlock(ctx context.Context, key tables.AttemptKey, h index.BlockHead, c *tables.Cut) error {
	c.Bytes += h.Size
	c.To = h.Start + h.Size
	return s.EachOutput(ctx, key, h, func(o journal.Output) {
		g := c.Gap(o.Step, o.Stream, h.FirstAt)
		g.Bytes += int64(len(o.Data))
		for _, b := range o.Data {
			if b == '\n' {
				g.Lines++
			}
		}
	})
}

// drop drops the blocks, if the journal's gap has not changed meanwhile, and stores the gap in the run.
func (s *Maintenance) drop(ctx context.Context, key tables.AttemptKey, before *tables.AttemptRow, blocks []index.BlockHead, c *tables.Cut) error {
	return s.Write(ctx, db.Runs(key.Run), func(t *db.Tx) error {
		run, err := tables.LockRun(ctx, t, key.Run)
		if err != nil {
			return err
		}
		row, err := tables.LockAttempt(ctx, t, key)
		if err != nil {
			return err
		}
		if !tables.SameCut(row.Cut, before.Cut) {
			return nil // another server was faster
		}
		if len(blocks) == 0 {
			_, err := t.ExecContext(ctx, `UPDATE attempts SET trim_at = NULL WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt)
			return err
		}
		if err := s.DropBlockData(ctx, t, key, blocks[0].Start, c.To); err != nil {
			return err
		}
		return tables.StoreCut(ctx, t, key, &run, row, c)
	})
}
