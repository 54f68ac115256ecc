package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// FollowCancel applies a cancel to an attempt of a run. It records the request, if there is none. If
// force is set and the lease of the attempt has ended, the run ends as canceled without its agent,
// which is still asked to stop if it reports again.
func (s *Outbox) FollowCancel(ctx context.Context, id string, attempt int, c job.Cancel, force bool) (outbox.Progress, error) {
	var out outbox.Progress
	err := s.Write(ctx, db.Runs(id), func(t *db.Tx) error {
		row, err := tables.LockRun(ctx, t, id)
		if err != nil {
			return err
		}
		before := row.Run
		row.Run, out = followCancel(row, attempt, c, force)
		if out.Run == nil {
			return nil
		}
		if before.Cancel == nil && len(out.Events) == 0 {
			return tables.UpdateRun(ctx, t, &row)
		}
		if err := s.afterCancel(ctx, t, before.State, &row, c.At); err != nil {
			return err
		}
		return SaveChange(ctx, t, &row, out.Events, c.At)
	})
	if err != nil {
		return out, fmt.Errorf("cancel run %s: %w", id, err)
	}
	return out, nil
}

// afterCancel does what follows when a submitted run was canceled without its agent, which may be alive.
func (s *Outbox) afterCancel(ctx context.Context, t *db.Tx, before job.State, row *tables.RunRow, now time.Time) error {
	switch {
	case row.Run.Submitted == nil || !row.Run.State.Terminal():
		return nil
	case before == job.Queued || before == job.Retrying:
		return leaveQueue(ctx, t, &row.Run)
	}
	_, err := s.submissions.AfterEnd(ctx, t, row, false, now) // a canceled run is not tried again
	return err
}

// followCancel returns the run after FollowCancel, and its progress. c.At is the current time.
func followCancel(row tables.RunRow, attempt int, c job.Cancel, force bool) (job.Run, outbox.Progress) {
	run := row.Run
	switch {
	case run.Attempt != attempt:
		return run, outbox.Progress{Over: true, Why: fmt.Sprintf("attempt %d followed", run.Attempt)}
	case run.State.Terminal() && run.State != job.Lost:
		return run, outbox.Progress{Over: true, Why: fmt.Sprintf("the run is %s", run.State)}
	case run.Cancel == nil:
		next, events, changed := cancelRun(run, c)
		if !changed {
			return run, outbox.Progress{Over: true, Why: fmt.Sprintf("the run is %s and cannot be canceled", run.State)}
		}
		return next, outbox.Progress{Run: &next, Events: events}
	case !force || run.State != job.Lost && row.ExpiresAt.After(c.At):
		return run, outbox.Progress{}
	}
	evidence := fmt.Sprintf("Canceled by %s. The agent has sent no heartbeat since %s, so nobody saw the job end.",
		run.Cancel.By, job.TimeText(row.ReportedAt))
	next, event, err := index.Move(run, job.Event{Kind: job.Ended, State: job.Canceled}, c.At, index.ServerClock, evidence)
	if err != nil || event == nil {
		return run, outbox.Progress{Over: true, Why: fmt.Sprintf("the run is %s and cannot be canceled", run.State)}
	}
	// It has no time of its end, as a lost run: nobody knows it.
	next.Outcome = &job.Outcome{State: job.Canceled, Reason: job.ByCancel, By: run.Cancel.By, Message: evidence}
	return next, outbox.Progress{
		Over: true, Why: "the agent is gone: canceled without it", Run: &next, Events: []job.RunEvent{*event},
	}
}

// RequestCancel records a request to stop a run, moves the run by job.StopRequested, and returns the run
// and its events. Only the first request counts. For a run that has ended it changes nothing.
func (s *Outbox) RequestCancel(ctx context.Context, run string, c job.Cancel) (job.Run, []job.RunEvent, error) {
	var row tables.RunRow
	var events []job.RunEvent
	err := s.Write(ctx, db.Runs(run), func(t *db.Tx) (err error) {
		if row, err = tables.LockRun(ctx, t, run); err != nil {
			return err
		}
		next, changes, changed := cancelRun(row.Run, c)
		row.Run, events = next, changes
		if !changed {
			return nil
		}
		if err := SaveChange(ctx, t, &row, events, c.At); err != nil {
			return err
		}
		if row.Run.State.Terminal() { // it waited in the queue, or was to be tried again
			return leaveQueue(ctx, t, &row.Run)
		}
		return insertEntries(ctx, t, []outbox.Entry{{
			Kind: outbox.Cancel, Run: run, Attempt: row.Run.Attempt, What: outbox.WhatCanceled,
			Message: index.StopEvidence(row.Run.Cancel.By, ""), By: row.Run.Cancel.By, At: c.At,
		}})
	})
	if err != nil {
		return job.Run{}, nil, fmt.Errorf("cancel run %s: %w", run, err)
	}
	return row.Run, events, nil
}

// leaveQueue takes a run off the queue that was canceled there. Its place in its group stays while an attempt that was
// lost may live.
func leaveQueue(ctx context.Context, t *db.Tx, run *job.Run) error {
	free := groups.FreePlace
	if run.EndedAt == nil {
		free = groups.FreeClaimedPlace
	}
	return errors.Join(queue.Leave(ctx, t, run.ID), free(ctx, t, run.ID))
}

// cancelRun applies a cancel to a run. A run without an agent ends with it. changed reports whether the
// run has changed.
func cancelRun(run job.Run, c job.Cancel) (next job.Run, events []job.RunEvent, changed bool) {
	if run.Cancel != nil || run.EndedAt != nil && run.State != job.Retrying {
		return run, nil, false
	}
	mayReturn := run.Submitted != nil && run.State == job.Retrying && run.EndedAt == nil
	c.By, c.Why, c.At = index.CleanText(c.By, 200), index.CleanText(c.Why, 1000), db.FromMicros(db.Micros(c.At))
	run.Cancel = &c
	evidence := index.StopEvidence(c.By, c.Why)
	run, event, err := index.Move(run, job.Event{Kind: job.StopRequested}, c.At, index.ServerClock, evidence)
	if err != nil || event == nil {
		return run, nil, true
	}
	if run.State == job.Canceled {
		if !mayReturn { // else it has no time of its end, so that the attempt that was lost is stopped if it reports again
			run.EndedAt = &c.At
		}
		when := ", before an agent began."
		if run.Attempt > 0 {
			when = ", between two attempts."
		}
		run.Outcome = &job.Outcome{State: job.Canceled, Reason: job.ByCancel, By: c.By, Message: evidence + when}
	}
	return run, []job.RunEvent{*event}, true
}
