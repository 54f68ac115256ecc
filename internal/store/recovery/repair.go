package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// badBytes reports bytes that cannot be read. Those of a journal that was still arriving
// are cut off, with --repair: its agent sends them again. Packed ones, which no agent has any
// more, become a gap.
func (c *checker) badBytes(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	if r.damage && !r.live {
		return c.damaged(ctx, key, row)
	}
	f := Finding{Run: key.Run, Attempt: key.Attempt, At: r.bad, What: r.why}
	if c.repair && r.live && !r.holes {
		if err := cutOff(ctx, c.store, key, row, r); err != nil {
			return err
		}
		f.Repaired = "the journal ends here now; an agent that still has it sends the rest"
	}
	c.found(f)
	return nil
}

// cutOff ends a journal where its good bytes end.
func cutOff(ctx context.Context, s *store.Store, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	return s.Write(ctx, db.All, func(t *db.Tx) error {
		err := s.DeleteBlocks(ctx, t, `run_id = $1 AND attempt = $2 AND start >= $3`, key.Run, key.Attempt, r.bad)
		if err != nil {
			return err
		}
		row := *row
		row.Tail = nil
		return rewriteAttempt(ctx, t, key, &row, r, s.RunLog)
	})
}

// rebuild writes the tables of an attempt anew from its journal.
func (c *checker) rebuild(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay, what string) error {
	f := Finding{Run: key.Run, Attempt: key.Attempt, What: what}
	if c.repair {
		err := c.store.Write(ctx, db.All, func(t *db.Tx) error {
			copied := *row
			return rewriteAttempt(ctx, t, key, &copied, r, c.store.RunLog)
		})
		if err != nil {
			return err
		}
		f.Repaired = "the tables were written anew from the journal"
	}
	c.found(f)
	return nil
}

// rewriteAttempt stores an attempt, its blocks' heads and its run as the journal describes them.
func rewriteAttempt(ctx context.Context, t *db.Tx, key tables.AttemptKey, row *tables.AttemptRow, r *replay, runLog int64) error {
	row.State, row.Tiers = r.state, tables.Tiers{}
	if err := tables.SaveAttempt(ctx, t, key, row, runLog); err != nil {
		return err
	}
	for start, h := range r.heads {
		text, err := json.Marshal(h)
		if err != nil {
			return fmt.Errorf("encode block %d: %w", start, err)
		}
		_, err = t.ExecContext(ctx, `UPDATE blocks SET head = $4, first_line = $5, lines = $6 WHERE run_id = $1 AND attempt = $2 AND start = $3`,
			key.Run, key.Attempt, start, string(text), h.FirstLine, h.Lines)
		if err != nil {
			return fmt.Errorf("store block %d: %w", start, err)
		}
	}
	if !r.state.Known() {
		return nil
	}
	return rewriteRun(ctx, t, key, r)
}

// rewriteRun shows the attempt in its run, which is made if it is missing.
func rewriteRun(ctx context.Context, t *db.Tx, key tables.AttemptKey, r *replay) error {
	row, err := tables.LockRun(ctx, t, key.Run)
	var gone *query.NotFoundError
	missing := errors.As(err, &gone)
	if err != nil && !missing {
		return err
	}
	view := &r.state.View
	if missing {
		at := *view.StartedAt // an attempt that is known has one
		row = intake.NewRun(&r.state, 0, at)
		row.ReportedAt, row.ExpiresAt, row.Lease = at, at, intake.FirstLease(r.state.HeartbeatPeriod)
		if err := tables.InsertRun(ctx, t, &row); err != nil {
			return err
		}
	}
	if row.Run.Attempt > key.Attempt {
		return nil
	}
	began := row.Run.Attempt < key.Attempt
	row.Run.Attempt = key.Attempt
	row.Run = tables.WithAttempt(row.Run, view)
	if state, over := ended(view); over {
		row.Run.State = state
	} else if missing || began {
		row.Run.State = job.Lost
	}
	if err := tables.SetLabels(ctx, t, &row.Run); err != nil {
		return err
	}
	return tables.UpdateRun(ctx, t, &row)
}
