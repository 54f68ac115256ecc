package flush

import (
	"context"
	"errors"
	"fmt"
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

// DeliverOwnRun delivers the journal of an attempt that has ended as a run of its own, because its id is that of another
// run, within a limit, and prints as which, or that it waits at a path. It reports whether the server has all of it. A
// journal that waits nowhere, at an empty path, is lost.
func DeliverOwnRun(c Config, limit time.Duration, run string, attempt int, waitsAt string, print func(line string)) (delivered bool) {
	if waitsAt == "" {
		return false // which was printed
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	j, err := FinishAttempt(ctx, c, run, attempt, "")
	switch err := errors.Join(j.Err, err); {
	case j.Delivered && j.OwnRun != "":
		print(fmt.Sprintf("the record of this job is run %s at the server, with the label %s=%s", j.OwnRun, LabelIDTaken, run))
	case err != nil:
		print(fmt.Sprintf("the journal of this run waits at %s until the next stint run, or stint flush, delivers it: %v", waitsAt, err))
	}
	return j.Delivered
}
