package flush

import (
	"context"
	"strconv"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
)

const (
	// busyInterval is how often a journal that is locked is tried again: the lock of an agent
	// that has just died goes with its last descriptor.
	busyInterval = 10 * time.Millisecond
	// The pauses between two tries while the server does not answer, from the first to the
	// longest.
	retryPause     = 200 * time.Millisecond
	longRetryPause = 5 * time.Second
)

// FinishAttempt completes and delivers the journal of one attempt whose agent has just died, and
// whose processes have just been ended, which is when the attempt ended: swept names them. It goes on
// until the server has the journal or refuses it, another process delivers it, or ctx ends; the journal
// waits then.
func FinishAttempt(ctx context.Context, c Config, run string, attempt int, swept string) (Journal, error) {
	s, err := spool.Open(c.StateDir)
	if err != nil {
		return Journal{}, err
	}
	c.ServerURL, c.swept, c.endedAt = delivery.WithoutCredentials(c.ServerURL), &swept, time.Now()
	pause := retryPause
	for {
		e, there := s.Entry(run + "." + strconv.Itoa(attempt))
		if !there {
			return Journal{Run: run, Attempt: attempt, Skipped: Gone}, nil
		}
		j := deliverOne(ctx, s, e, c)
		wait := busyInterval
		switch {
		case j.Skipped == InUse:
		case isOutage(j.Err):
			wait = pause
			pause = min(2*pause, longRetryPause)
		default:
			return j, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return j, ctx.Err()
		}
	}
}
