package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// badBytes reports bytes that cannot be read. A repair cuts those of a journal off that was still
// arriving: its agent sends them again. Packed ones, which no agent has any more, become a gap.
func (c *checker) badBytes(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	if r.damage && !r.live {
		return c.damaged(ctx, key, row)
	}
	f := Finding{Run: key.Run, Attempt: key.Attempt, At: r.bad, What: r.why}
	if c.repair && r.live && !r.holes {
		if err := c.cutOff(ctx, key, row, r); err != nil {
			return err
		}
		f.Repaired = "the journal ends here now; an agent that still has it sends the rest"
	}
	c.found(f)
	return nil
}

// cutOff ends a journal where its good bytes end.
func (c *checker) cutOff(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	s := c.store
	return s.Write(ctx, db.All, func(t *db.Tx) error {
		err := s.DeleteBlocks(ctx, t, `run_id = $1 AND attempt = $2 AND start >= $3`, key.Run, key.Attempt, r.bad)
		if err != nil {
			return err
		}
		row := *row
		row.Tail = nil
		return c.rewriteAttempt(ctx, t, key, &row, r)
	})
}

// rebuild reports that the tables of an attempt differ from its journal. A repair rewrites them.
func (c *checker) rebuild(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay, what string) error {
	f := Finding{Run: key.Run, Attempt: key.Attempt, What: what}
	if c.repair {
		err := c.store.Write(ctx, db.All, func(t *db.Tx) error {
			copied := *row
			return c.rewriteAttempt(ctx, t, key, &copied, r)
		})
		if err != nil {
			return err
		}
		f.Repaired = "the tables were written anew from the journal"
	}
	c.found(f)
	return nil
}

// rewriteAttempt stores an attempt, the rows of its blocks and its run as the journal describes them.
func (c *checker) rewriteAttempt(ctx context.Context, t *db.Tx, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	now := c.store.Now()
	row.State, row.Tiers, row.At = r.state, tables.Tiers{}, now
	if err := tables.SaveAttempt(ctx, t, key, row, c.store.RunLog); err != nil {
		return err
	}
	for start, b := range r.rows {
		head, err := json.Marshal(b.Head)
		if err != nil {
			return fmt.Errorf("encode block %d: %w", start, err)
		}
		var samples any
		if len(b.Samples) > 0 {
			text, err := json.Marshal(b.Samples)
			if err != nil {
				return fmt.Errorf("encode the samples of block %d: %w", start, err)
			}
			samples = string(text)
		}
		_, err = t.ExecContext(ctx, `UPDATE blocks SET head = $4, first_line = $5, lines = $6, samples = $7 WHERE run_id = $1 AND attempt = $2 AND start = $3`,
			key.Run, key.Attempt, start, string(head), b.Head.FirstLine, b.Head.Lines, samples)
		if err != nil {
			return fmt.Errorf("store block %d: %w", start, err)
		}
	}
	if !r.state.Known() {
		return nil
	}
	return rewriteRun(ctx, t, key, r, now)
}

// rewriteRun stores the run of an attempt as intake would have stored it, unless a later attempt owns
// it. The run is created if it is missing.
func rewriteRun(ctx context.Context, t *db.Tx, key tables.AttemptKey, r *replay, now time.Time) error {
	row, missing, err := lockRun(ctx, t, key, r, now)
	if err != nil || row.Run.Attempt > key.Attempt {
		return err
	}
	begins, before := row.Run.Attempt < key.Attempt, row.Run
	if row.Run.Job != r.state.View.Job {
		if err := tables.MoveRun(ctx, t, &row.Run, r.state.View.Job); err != nil {
			return err
		}
	}
	row = intake.Rederive(row, &r.state, now)
	if missing {
		if err := tables.InsertRun(ctx, t, &row); err != nil {
			return err
		}
	}
	if begins {
		if err := intake.BeginEvidence(ctx, t, &row.Run, r.state.Limits, now); err != nil {
			return err
		}
	}
	for _, store := range []func(context.Context, *db.Tx, *job.Run) error{tables.SetLabels, tables.SetHost, intake.StoreStatus} {
		if err := store(ctx, t, &row.Run); err != nil {
			return err
		}
	}
	if err := tables.InsertEvents(ctx, t, repairEvents(before, row.Run, r, missing, now)); err != nil {
		return err
	}
	if row.Run.State != before.State {
		if err := tables.RequestDiagnosis(ctx, t, &row.Run, before); err != nil {
			return err
		}
	}
	return tables.UpdateRun(ctx, t, &row)
}

// lockRun reads the row of a run to repair, and reports whether it is missing. Of a row whose document
// cannot be read it returns what its columns have. A lease that is not known begins now.
func lockRun(ctx context.Context, t *db.Tx, key tables.AttemptKey, r *replay, now time.Time) (row tables.RunRow, missing bool, err error) {
	row, err = tables.LockRun(ctx, t, key.Run)
	var deleted *query.DeletedRunError
	var gone *query.NotFoundError
	var unreadable *query.UnreadableError
	started := *r.state.View.StartedAt // an attempt that is known has one
	switch {
	case errors.As(err, &deleted):
		return row, false, err
	case errors.As(err, &gone):
		row, missing = intake.NewRun(&r.state, 0, started), true
	case errors.As(err, &unreadable):
		row = tables.RunRow{Run: unreadable.Run, Period: r.state.HeartbeatPeriod}
		row.Run.Findings = []job.Finding{}
	default:
		return row, false, err
	}
	row.Lease = intake.FirstLease(r.state.HeartbeatPeriod)
	row.ReportedAt, row.ExpiresAt = started, started
	if r.state.View.State.Active() {
		row.ReportedAt, row.ExpiresAt, row.Backlog = now, now.Add(row.Lease), true
	}
	return row, missing, nil
}

// repairEvents returns the events of a run that is repaired: of one that was missing all that its
// journal records, else the change of its state, if there is one.
func repairEvents(before, run job.Run, r *replay, missing bool, now time.Time) []job.RunEvent {
	if missing {
		fresh := run
		fresh.State = job.Queued
		_, events := index.Advance(fresh, r.facts, now)
		return events
	}
	if before.State == run.State {
		return nil
	}
	return []job.RunEvent{{
		Run: run.ID, Attempt: run.Attempt, At: now.UTC(), Clock: index.ServerClock, Kind: "state",
		From: string(before.State), To: string(run.State), Rule: string(job.Ended), Evidence: "A repair of the database corrected the state by the journal.",
	}}
}
