package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

const (
	// CancelDeadline is how long an agent without heartbeats has to stop its job before the run
	// is ended without it.
	CancelDeadline = time.Minute
	// cancelEvery is the pause between two checks of a cancel.
	cancelEvery = 5 * time.Second
	// waitForAgent is how many checks, every 2 s, an agent has to report that it waits for a
	// retry.
	waitForAgent = 15
	actAtOnce    = 500
)

// act follows the cancels and retries whose time has come. One that cannot be followed is
// tried again later.
func (w *Worker) act(ctx context.Context, now time.Time) error {
	due, err := w.Store.DueActions(ctx, now, actAtOnce)
	if err != nil {
		return err
	}
	for _, a := range due {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result, err := w.actOn(ctx, a, now)
		var gone *query.NotFoundError
		if errors.As(err, &gone) {
			result, err = tried(a, outbox.Dropped, "the run was deleted", now), nil
		}
		if err == nil {
			err = w.Store.StoreResults(ctx, []outbox.Result{result})
		}
		if err == nil {
			w.Store.ActionFollowed(ctx, a)
		} else if err := w.Store.ActionFailed(ctx, a, err, now); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) actOn(ctx context.Context, a job.Action, now time.Time) (outbox.Result, error) {
	switch {
	case a.Kind == outbox.Cancel:
		ask := job.Cancel{By: a.By, Why: a.Message, At: now}
		stopped, err := w.Store.FollowCancel(ctx, a.Run, a.Attempt, ask, now.Sub(a.CreatedAt) >= CancelDeadline)
		return w.followed(a, stopped, now), err
	case a.Kind == outbox.Retry && a.What == "retry":
		stopped, err := w.Store.WatchRetry(ctx, a.Run, a.Attempt, a.CreatedAt, now)
		return w.followed(a, stopped, now), err
	case a.Kind == outbox.Retry: // a policy wants one: Attempt is the one that ended
		run, events, err := w.Store.RequestRetry(ctx, a.Run, a.Attempt, a.By, a.Message, now)
		var no *outbox.NoRetryError
		if errors.As(err, &no) && a.Attempt > 0 && no.Run.Attempt != a.Attempt { // another attempt has begun since
			return tried(a, outbox.Dropped, no.Why, now), nil
		}
		if errors.As(err, &no) && a.Tries < waitForAgent {
			one := tried(a, outbox.Pending, no.Why, now)
			one.NextAt = now.Add(2 * Every)
			return one, nil
		}
		if errors.As(err, &no) {
			return tried(a, outbox.Failed, no.Why, now), nil
		}
		if len(events) > 0 && w.Changed != nil {
			w.Changed(a.Run)
		}
		return tried(a, outbox.Done, fmt.Sprintf("attempt %d was asked for", run.Attempt+1), now), err
	}
	return tried(a, outbox.Failed, "unknown action "+a.Kind, now), nil
}

// followed is what became of an action after a check of its run.
func (w *Worker) followed(a job.Action, s outbox.Progress, now time.Time) outbox.Result {
	if s.Run != nil && w.Changed != nil {
		w.Changed(a.Run)
	}
	if s.Over {
		return tried(a, outbox.Done, s.Why, now)
	}
	one := tried(a, outbox.Pending, "", now)
	one.NextAt = now.Add(cancelEvery)
	return one
}

// tried is a row after one more try. Its Error is the result of an action.
func tried(a job.Action, status, why string, now time.Time) outbox.Result {
	return outbox.Result{ID: a.ID, Status: status, Tries: a.Tries + 1, NextAt: now, Error: why, At: now}
}
