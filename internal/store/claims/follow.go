package claims

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// AfterEnd does what follows the end of the attempt that a submitted run shows: it frees the place that the run
// has in its group, or holds it while the attempt may live, and if another attempt follows, it adds that to the
// queue, moves the run to retrying and returns the event; the caller stores run and event. final says that the
// attempt cannot report again.
func (s *Claims) AfterEnd(ctx context.Context, t *db.Tx, row *tables.RunRow, final bool, now time.Time) (*job.RunEvent, error) {
	return s.follow(ctx, t, row, final, "", now)
}

// follow is AfterEnd. requestedBy is the person who requested another attempt; empty for none.
func (s *Claims) follow(ctx context.Context, t *db.Tx, row *tables.RunRow, final bool, requestedBy string, now time.Time) (*job.RunEvent, error) {
	run := &row.Run
	if run.Submitted == nil || !run.State.Terminal() || run.Outcome == nil {
		return nil, nil
	}
	if run.State == job.Succeeded && requestedBy == "" { // nothing follows, whatever the definition says
		return nil, finish(ctx, t, queue.End{Attempt: run.Attempt, Final: final}, run.ID, now)
	}
	alone, err := groups.IsAlone(ctx, t, run.ID)
	if err != nil {
		return nil, err
	}
	retries, err := retriesOf(ctx, t, run)
	if err != nil {
		return nil, err
	}
	permit, err := readPermit(ctx, t, run.ID, run.Attempt)
	if err != nil {
		return nil, err
	}
	outcome := *run.Outcome
	outcome.State = run.State
	end := queue.End{
		Attempt: run.Attempt, Outcome: outcome, Final: final, At: now, LeaseEnd: row.ExpiresAt, Host: run.Host,
		Avoided: permit.avoided, Memory: permit.memory, Canceled: run.Cancel != nil, Alone: alone, Requested: requestedBy != "",
	}
	if err := finish(ctx, t, end, run.ID, retries.HeldUntil(end)); err != nil {
		return nil, err
	}
	next, follows, why := retries.After(end)
	if !follows {
		if requestedBy != "" {
			return nil, &outbox.NoRetryError{Run: *run, Why: fmt.Sprintf("run %s is %s: %s", run.ID, run.State, why)}
		}
		return nil, nil
	}
	held := ""
	if !final && requestedBy == "" {
		if held, err = heldAfterLoss(ctx, t, run.ID, run.Attempt); err != nil {
			return nil, err
		}
	}
	evidence := followEvidence(next.Attempt, held, requestedBy)
	moved, event, err := index.Move(*run, job.Event{Kind: job.RetryRequested}, now, index.ServerClock, evidence)
	if err != nil || event == nil {
		return nil, nil //nolint:nilerr // a state that no attempt follows
	}
	err = storequeue.Enqueue(ctx, t, storequeue.Entry{Run: run.ID, Attempt: next.Attempt, NotBefore: &next.NotBefore, Avoid: next.Avoided, MemoryBytes: next.Memory, Held: held})
	if err != nil {
		return nil, fmt.Errorf("queue attempt %d of run %s: %w", next.Attempt, run.ID, err)
	}
	*run = moved
	return event, nil
}

// followEvidence says what an attempt waits for that follows another one.
func followEvidence(attempt int, held, requestedBy string) string {
	switch {
	case held != "":
		return fmt.Sprintf("Attempt %d waits until a person releases it: %s.", attempt, held)
	case requestedBy != "":
		return fmt.Sprintf("Attempt %d was requested by %s.", attempt, requestedBy)
	}
	return fmt.Sprintf("Attempt %d waits for a worker.", attempt)
}

// finish frees the place of a run whose attempt has ended, and the slot of its worker. If the attempt may live, the
// place is held.
func finish(ctx context.Context, t *db.Tx, e queue.End, run string, held time.Time) error {
	if !e.Final {
		return groups.HoldPlace(ctx, t, run, held)
	}
	if err := groups.FreePlace(ctx, t, run); err != nil {
		return err
	}
	return setActive(ctx, t, run, e.Attempt, false)
}

// RequestAttempt adds another attempt of a submitted run that has ended to the queue, moves the run to retrying
// and returns the event; the caller stores both. The error is *outbox.NoRetryError if no attempt can follow.
func (s *Claims) RequestAttempt(ctx context.Context, t *db.Tx, row *tables.RunRow, by string, now time.Time) (*job.RunEvent, error) {
	if !row.Run.State.Terminal() {
		return nil, &outbox.NoRetryError{Run: row.Run, Why: fmt.Sprintf("run %s is %s: no attempt begins beside one that may be alive; cancel it first", row.Run.ID, row.Run.State)}
	}
	event, err := s.follow(ctx, t, row, row.Run.EndedAt != nil, by, now)
	if err == nil && event == nil {
		err = &outbox.NoRetryError{Run: row.Run, Why: fmt.Sprintf("run %s is %s", row.Run.ID, row.Run.State)}
	}
	return event, err
}

// AfterReturn does what follows when an attempt that was lost reports again: the attempt that was to follow leaves
// the queue, with its claim, and the run has its place in its group again.
func (s *Claims) AfterReturn(ctx context.Context, t *db.Tx, run string) error {
	if err := storequeue.Leave(ctx, t, run); err != nil {
		return err
	}
	return groups.RegainPlace(ctx, t, run)
}

// AfterLoss frees the place in its group that a run has for an attempt that was lost: that has ended for certain.
func (s *Claims) AfterLoss(ctx context.Context, t *db.Tx, run string) error {
	return groups.FreeHeldPlace(ctx, t, run)
}

func setActive(ctx context.Context, t *db.Tx, run string, attempt int, active bool) error {
	return t.Queue(ctx, db.Statement{
		Query: `UPDATE permits SET active = $3 WHERE run_id = $1 AND attempt = $2`, Args: []any{run, attempt, db.BoolToInt(active)},
		What: fmt.Sprintf("store that attempt %d of run %s has ended", attempt, run),
	})
}

// retriesOf returns the retries of the version of the definition that a run was submitted with. A command
// without one has none.
func retriesOf(ctx context.Context, t *db.Tx, run *job.Run) (queue.Retries, error) {
	if run.Submitted.Definition == "" {
		return queue.Retries{}, nil
	}
	var text []byte
	err := t.QueryRowContext(ctx, `SELECT canonical FROM definition_versions WHERE job = $1 AND hash = $2`, run.Job, run.Submitted.Definition).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return queue.Retries{}, nil // deleted with the job: nothing is tried again
	}
	var d definition.Definition
	if err == nil {
		d, err = definition.FromCanonical(text)
	}
	if err != nil {
		return queue.Retries{}, fmt.Errorf("read the definition of run %s: %w", run.ID, err)
	}
	if d.Retries == nil {
		return queue.Retries{}, nil
	}
	r := queue.Retries{Limit: d.Retries.Limit, Backoff: time.Duration(d.Retries.Backoff), On: d.Retries.On, Memory: float64(d.Retries.Memory)}
	if d.Retries.Hold != nil {
		hold := time.Duration(*d.Retries.Hold)
		r.Hold = &hold
	}
	return r, nil
}
