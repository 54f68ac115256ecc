package delivery

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool"
)

// A heartbeat takes along what is to be delivered, if the last append is not too recent;
// without one, what has collected goes after a while.
func TestCoalescingEndsWithAHeartbeat(t *testing.T) {
	for _, c := range []struct {
		name     string
		lastGood time.Duration // before
		beats    []time.Duration
		want     time.Duration
	}{
		{"no heartbeat", 0, nil, coalesceDelay},
		{"an append long ago", 5 * time.Second, []time.Duration{200 * time.Millisecond}, 200 * time.Millisecond},
		{"a heartbeat too early, the next one takes it", 0, []time.Duration{time.Second, 2 * time.Second}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				beat := make(chan struct{}, 1)
				d := New(Config{
					Beat: beat, Ended: make(chan struct{}), Watched: new(atomic.Bool),
					Journal: spool.InMemory(spool.Meta{}, spool.Limits{}, errors.New("no state directory")),
				})
				d.lastGood = time.Now().Add(-c.lastGood)
				for _, at := range c.beats {
					time.AfterFunc(at, func() { beat <- struct{}{} })
				}
				begun := time.Now()
				if err := d.coalesce(context.Background()); err != nil || time.Since(begun) != c.want {
					t.Errorf("after %v: %v; want %v", time.Since(begun), err, c.want)
				}
			})
		})
	}
}
