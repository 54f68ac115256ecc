package queue

import (
	"testing"
	"time"

	"stint.dev/stint/internal/clock"
)

// The name of a worker whose lease ends later than any lease may end now is free.
func TestNameOfAWorkerOfAClockThatWasAhead(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		lease time.Duration
		free  bool
	}{{-time.Second, true}, {time.Second, false}, {maxWait + workerGrace, false}, {maxWait + workerGrace + clock.Difference, false}, {24 * time.Hour, true}} {
		if got := MayHaveName("a", now.Add(c.lease), "b", now); got != c.free {
			t.Errorf("a lease of %s: %v", c.lease, got)
		}
	}
}
