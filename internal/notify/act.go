package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	// CancelTimeout is how long an agent without heartbeats has to stop its job before the server ends the
	// run.
	CancelTimeout = time.Minute
	// cancelInterval is the time between two checks of a cancel.
	cancelInterval = 5 * time.Second
	// maxAgentChecks is how often, every two rounds, the worker checks whether an agent waits for a retry.
	maxAgentChecks = 15
	maxActions     = 500
)

// act handles the cancels and retries that are due. One that fails is tried again later.
func (w *Worker) act(ctx context.Context, now time.Time) error {
	due, err := w.Store.DueActions(ctx, now, maxActions)
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

// actOn handles a cancel or retry.
func (w *Worker) actOn(ctx context.Context, a api.Action, now time.Time) (outbox.Result, error) {
	switch {
	case a.Kind == outbox.Cancel:
		ask := job.Cancel{By: a.By, Why: a.Message, At: now}
		stopped, err := w.Store.FollowCancel(ctx, a.Run, a.Attempt, ask, now.Sub(a.CreatedAt) >= CancelTimeout)
		return w.followed(a, stopped, now), err
	case a.Kind == outbox.Retry && a.What == "retry":
		stopped, err := w.Store.WatchRetry(ctx, a.Run, a.Attempt, a.CreatedAt, now)
		return w.followed(a, stopped, now), err
	case a.Kind == outbox.Retry: // of a policy: Attempt is the one that ended
		run, events, err := w.Store.RequestRetry(ctx, a.Run, a.Attempt, a.By, a.Message, now)
		var no *outbox.NoRetryError
		if errors.As(err, &no) && a.Attempt > 0 && no.Run.Attempt != a.Attempt { // another attempt has begun since
			return tried(a, outbox.Dropped, no.Why, now), nil
		}
		if errors.As(err, &no) && a.Tries < maxAgentChecks {
			one := tried(a, outbox.Pending, no.Why, now)
			one.NextAt = now.Add(2 * Interval)
			return one, nil
		}
		if errors.As(err, &no) {
			return tried(a, outbox.Failed, no.Why, now), nil
		}
		if len(events) > 0 && w.Changed != nil {
			w.Changed(a.Run)
		}
		return tried(a, outbox.Done, fmt.Sprintf("attempt %d was requested", run.Attempt+1), now), err
	}
	return tried(a, outbox.Failed, "unknown action "+a.Kind, now), nil
}

// followed returns the result of an action after a check of its run.
func (w *Worker) followed(a api.Action, s outbox.Progress, now time.Time) outbox.Result {
	if s.Run != nil && w.Changed != nil {
		w.Changed(a.Run)
	}
	if s.Over {
		return tried(a, outbox.Done, s.Why, now)
	}
	one := tried(a, outbox.Pending, "", now)
	one.NextAt = now.Add(cancelInterval)
	return one
}

// tried returns the result of a row after another try. Its Error is the result of an action as text.
func tried(a api.Action, status, why string, now time.Time) outbox.Result {
	return outbox.Result{ID: a.ID, Status: status, Tries: a.Tries + 1, NextAt: now, Error: why, At: now}
}
