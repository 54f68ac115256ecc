package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// RequestRetry requests another attempt from the agent of a run that has ended, or of a submitted run from the
// queue, and moves the run by job.RetryRequested. If the agent does not wait for that, the error is *outbox.NoRetryError. It may be
// called again. attempt is the attempt that the retry follows: the request is refused if another one
// has begun; 0 is the last one.
func (s *Outbox) RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error) {
	var row tables.RunRow
	var events []job.RunEvent
	err := s.Write(ctx, db.Runs(run), func(t *db.Tx) (err error) {
		events = nil
		if row, err = tables.LockRun(ctx, t, run); err != nil {
			return err
		}
		if attempt > 0 && row.Run.Attempt != attempt {
			return &outbox.NoRetryError{Run: row.Run, Why: fmt.Sprintf("attempt %d began after attempt %d, which was to be tried again", row.Run.Attempt, attempt)}
		}
		if row.Run.State == job.Retrying {
			return nil
		}
		if row.Run.Submitted != nil {
			events, err = s.requestAttempt(ctx, t, &row, by, now)
			return err
		}
		until, err := agentWaitsUntil(ctx, t, &row.Run)
		if err != nil {
			return err
		}
		if err := mayRetry(&row.Run, until.After(now)); err != nil {
			return err
		}
		return startRetry(ctx, t, &row, &events, by, why, now)
	})
	if err != nil {
		return job.Run{}, nil, fmt.Errorf("retry run %s: %w", run, err)
	}
	return row.Run, events, nil
}

// requestAttempt requests another attempt of a submitted run: its agents make one each, and the queue starts the
// next.
func (s *Outbox) requestAttempt(ctx context.Context, t *db.Tx, row *tables.RunRow, by string, now time.Time) ([]job.RunEvent, error) {
	event, err := s.submissions.RequestAttempt(ctx, t, row, index.CleanText(by, 200), db.FromMicros(db.Micros(now)))
	if err != nil {
		return nil, err
	}
	row.Run.Cancel = nil
	events := []job.RunEvent{*event}
	if err := tables.InsertEvents(ctx, t, events); err != nil {
		return nil, err
	}
	return events, tables.UpdateRun(ctx, t, row)
}

// mayRetry returns *outbox.NoRetryError if a run cannot be retried now. waits says that its agent waits.
func mayRetry(run *job.Run, waits bool) error {
	no := func(format string, args ...any) error {
		return &outbox.NoRetryError{Run: *run, Why: fmt.Sprintf(format, args...)}
	}
	switch {
	case run.State == job.Succeeded:
		return no("run %s succeeded: there is nothing to try again", run.ID)
	case !run.State.Terminal():
		return no("run %s is %s: no attempt begins beside one that may be alive; cancel it first", run.ID, run.State)
	case !waits:
		return no("run %s is %s, and its agent does not wait for a retry", run.ID, run.State)
	}
	return nil
}

func startRetry(ctx context.Context, t *db.Tx, row *tables.RunRow, events *[]job.RunEvent, by, why string, now time.Time) error {
	by, why = index.CleanText(by, 200), index.CleanText(why, 1000)
	evidence := index.RetryEvidence(by, why)
	next, event, err := index.Move(row.Run, job.Event{Kind: job.RetryRequested}, now, index.ServerClock, evidence)
	if err != nil || event == nil {
		return err
	}
	next.Cancel = nil
	row.Run, *events = next, []job.RunEvent{*event}
	if err := tables.InsertEvents(ctx, t, *events); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE waiting_agents SET requested_by = $2, why = $3 WHERE run_id = $1`, next.ID, by, why); err != nil {
		return err
	}
	if err := insertEntries(ctx, t, []outbox.Entry{{
		Kind: outbox.Retry, Run: next.ID, Attempt: next.Attempt + 1, What: "retry", Message: evidence, By: by,
		At: now,
	}}); err != nil {
		return err
	}
	return tables.UpdateRun(ctx, t, row)
}

// RecordWaitingAgent records that the agent of an attempt that has ended waits for a retry, and returns
// the retry that was requested, if any.
func RecordWaitingAgent(ctx context.Context, t *db.Tx, run *job.Run, until time.Time) (*outbox.RetryRequest, error) {
	_, err := t.ExecContext(ctx, `INSERT INTO waiting_agents (run_id, attempt, until, requested_by, why) VALUES ($1, $2, $3, '', '')
		ON CONFLICT (run_id) DO UPDATE SET until = excluded.until,
		requested_by = CASE WHEN waiting_agents.attempt = excluded.attempt THEN waiting_agents.requested_by ELSE '' END,
		why = CASE WHEN waiting_agents.attempt = excluded.attempt THEN waiting_agents.why ELSE '' END,
		attempt = excluded.attempt`, run.ID, run.Attempt, db.Micros(until))
	if err != nil {
		return nil, fmt.Errorf("record that the agent of run %s waits: %w", run.ID, err)
	}
	if run.State != job.Retrying {
		return nil, nil
	}
	r := outbox.RetryRequest{Attempt: run.Attempt + 1}
	err = t.QueryRowContext(ctx, `SELECT requested_by, why FROM waiting_agents WHERE run_id = $1`, run.ID).Scan(&r.By, &r.Why)
	if err != nil {
		return nil, fmt.Errorf("read who requested a retry of run %s: %w", run.ID, err)
	}
	if r.By == "" {
		return nil, nil // the agent's own retry
	}
	return &r, nil
}

// AgentWaits returns a run, and until when the agent of its last attempt waits for another one;
// zero if it does not.
func (s *Outbox) AgentWaits(ctx context.Context, id string) (job.Run, time.Time, error) {
	run, err := s.queries.Run(ctx, id)
	if err != nil {
		return run, time.Time{}, err
	}
	until, err := agentWaitsUntil(ctx, s.Reader, &run)
	return run, until, err
}

// agentWaitsUntil returns until when the agent of a run's last attempt, which has ended, waits for
// another attempt; zero if it does not wait.
func agentWaitsUntil(ctx context.Context, q db.RowQuerier, run *job.Run) (time.Time, error) {
	var attempt int
	var until int64
	err := q.QueryRowContext(ctx, `SELECT attempt, until FROM waiting_agents WHERE run_id = $1`, run.ID).Scan(&attempt, &until)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && attempt != run.Attempt:
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("until when record that the agent of run %s waits: %w", run.ID, err)
	}
	return db.FromMicros(until), nil
}

// WatchRetry checks whether an attempt has begun that was announced at a time. If it has not begun in
// time, the run ends as its last attempt did.
func (s *Outbox) WatchRetry(ctx context.Context, id string, attempt int, announced, now time.Time) (outbox.Progress, error) {
	var out outbox.Progress
	err := s.Write(ctx, db.Runs(id), func(t *db.Tx) error {
		out = outbox.Progress{Over: true}
		row, err := tables.LockRun(ctx, t, id)
		if err != nil {
			return err
		}
		run := row.Run
		switch {
		case run.Attempt >= attempt:
			out.Why = fmt.Sprintf("attempt %d began", attempt)
			return nil
		case run.State != job.Retrying:
			out.Why = fmt.Sprintf("the run is %s", run.State)
			return nil
		}
		to, last := job.Failed, ""
		waits, err := agentWaitsUntil(ctx, t, &run)
		if err != nil {
			return err
		}
		if now.Before(db.Latest(outbox.RetryDue(&run, announced), waits).Add(outbox.RetryTimeout)) {
			out.Over = false
			return nil
		}
		if run.Outcome != nil {
			to, last = run.Outcome.State, " Attempt "+fmt.Sprint(run.Attempt)+": "+run.Outcome.Message
		}
		evidence := fmt.Sprintf("Attempt %d did not begin in time.", attempt) + last
		run, event, err := index.Move(run, job.Event{Kind: job.Ended, State: to}, now, index.ServerClock, evidence)
		if err != nil || event == nil {
			return err
		}
		row.Run = run
		out.Why, out.Run, out.Events = fmt.Sprintf("attempt %d did not begin in time", attempt), &run, []job.RunEvent{*event}
		return SaveChange(ctx, t, &row, out.Events, now)
	})
	if err != nil {
		return out, fmt.Errorf("watch for attempt %d of run %s: %w", attempt, id, err)
	}
	return out, nil
}

// SaveChange stores a run, its events, and the outbox rows that they ask for.
func SaveChange(ctx context.Context, t *db.Tx, row *tables.RunRow, events []job.RunEvent, now time.Time) error {
	if err := tables.InsertEvents(ctx, t, events); err != nil {
		return err
	}
	if err := EnqueueChange(ctx, t, row, events, time.Time{}, now); err != nil {
		return err
	}
	return tables.UpdateRun(ctx, t, row)
}
