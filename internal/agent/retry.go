package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/job"
)

// Supervise runs attempts of one run until one succeeds, is stopped, or nothing is left to
// try. Each is an attempt as Run does it, with its whole order of ending: two never
// overlap. The result is that of the last one.
func Supervise(ctx context.Context, c Config) Result {
	c, endEvents := c.withDefaults().withEvents()
	defer endEvents()
	if c.Retry.Possible() {
		c.claim = &spool.RunClaim{}
		defer c.claim.Release()
	}
	start := stdio.PositionOf(c.Stdin)
	for {
		result := Run(ctx, c)
		if result.Err != nil {
			return result
		}
		if result.ownRun != "" { // the further attempts are of that run
			c.Run, c.Labels = result.ownRun, flush.OwnLabels(c.Labels, c.Run)
		}
		switch c.awaitRetry(ctx, result) {
		case noRetry:
			return result
		case retryCanceled:
			result.ExitCode, result.Signal = exit.Of(result.Outcome, exit.End{
				Requested: c.events.Requested(), Between: true, Init: os.Getpid() == 1,
			})
			return result
		}
		if err := start.Restore(); err != nil {
			c.Print(err.Error())
			return result
		}
		c.Attempt, c.droppedBefore = c.Attempt+1, result.Dropped
	}
}

// retryAt returns when the next attempt begins by itself after an outcome; zero if none does.
func (c Config) retryAt(o job.Outcome, now time.Time) time.Time {
	return c.Retry.At(o, c.Attempt-c.FirstAttempt, now)
}

// retryUntil returns until when another attempt may come after an outcome; zero if there is none.
func (c Config) retryUntil(o job.Outcome, now time.Time) time.Time {
	return c.Retry.Until(o, c.Server != nil && c.events.Requested() == 0, now)
}

// awaitRetry waits for the next attempt, if there may be one.
func (c Config) awaitRetry(ctx context.Context, r Result) waitResult {
	o, left := r.Outcome, c.Retry.Most-(c.Attempt-c.FirstAttempt)
	switch stopRequested := c.events.Requested() != 0; {
	case c.retryUntil(o, time.Now()).IsZero():
		return noRetry
	case stopRequested, r.stopped:
		return retryCanceled // when the attempt had ended
	case o.RetryAt != nil:
		c.Print(fmt.Sprintf("attempt %d: %s Attempt %d begins %s (%d left)", c.Attempt, o.Message, c.Attempt+1, retry.StartText(time.Until(*o.RetryAt)), left))
		return c.waitForRetry(ctx, time.Until(*o.RetryAt))
	}
	c.Print(fmt.Sprintf("attempt %d: %s Waiting %s for a retry (stint retry %s)", c.Attempt, o.Message, c.Retry.Wait, c.Run))
	if how := c.waitForRetry(ctx, c.Retry.Wait); how != retryDue {
		return how
	}
	return noRetry
}

// waitResult is how a wait between two attempts ended.
type waitResult int

const (
	noRetry        waitResult = iota // no further attempt follows
	retryDue                         // its time has come
	retryRequested                   // the server requested it
	retryCanceled                    // canceled, or the agent was asked to end
)

// waitForRetry waits between two attempts. Meanwhile heartbeats report that the agent is there, and
// their replies hold what the server requests.
func (c Config) waitForRetry(ctx context.Context, pause time.Duration) waitResult {
	replies := make(chan waitResult, 1)
	var suspender delivery.Suspender
	if c.Server != nil {
		beatCtx, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		suspender = make(delivery.Suspender)
		go func() { defer close(done); c.sendWaitingHeartbeats(beatCtx, time.Now().Add(pause), suspender, replies) }()
		defer func() { stop(); <-done }()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return retryDue
		case how := <-replies:
			return how
		case <-ctx.Done():
			return retryCanceled
		case e := <-c.events.Events():
			came := []signals.Event{e}
			if e.Action == signals.Suspend {
				came, _ = c.suspendAgent(e.Signal, suspender)
			}
			if slices.ContainsFunc(came, func(e signals.Event) bool { return e.Action == signals.Begin }) {
				c.Print("asked to stop while waiting for the next attempt")
				return retryCanceled
			}
		}
	}
}

// sendWaitingHeartbeats sends heartbeats of the attempt that has ended, until ctx ends.
func (c Config) sendWaitingHeartbeats(ctx context.Context, until time.Time, suspender delivery.Suspender, replies chan<- waitResult) {
	ready := make(chan struct{})
	close(ready)
	send := func(how waitResult) {
		select {
		case replies <- how:
		default: // one was sent before
		}
	}
	b := &delivery.Heartbeats{
		Server: c.Server, Run: c.Run, Attempt: c.Attempt, Period: c.heartbeatPeriod(), Begun: time.Now(), Link: c.link, Ready: ready,
		Evidence: func(now time.Time) job.Heartbeat {
			return job.Heartbeat{OutputAgeMS: -1, WaitingMS: max(1, until.Sub(now).Milliseconds())}
		},
		Reply: func(r job.HeartbeatReply) {
			if !r.Owner {
				send(retryCanceled)
			}
			for _, command := range r.Commands {
				switch {
				case command.Kind == "cancel":
					send(retryCanceled)
				case command.Kind == "retry" && command.Attempt == c.Attempt+1:
					send(retryRequested)
				}
			}
		},
		Suspender: suspender,
	}
	b.Send(ctx)
}
