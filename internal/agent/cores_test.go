package agent

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool"
)

func TestCores(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(c *cores)
		want []int
	}{
		{"a quiet job", func(c *cores) { c.calm() }, []int{1}},
		{"one that prints fast later", func(c *cores) { c.calm(); c.hurry(); c.hurry(); c.calm() }, []int{1, 2}},
		{"one that prints fast at once", func(c *cores) { c.hurry(); c.calm() }, []int{2}},
	} {
		var got []int
		c.does(&cores{use: func(n int) { got = append(got, n) }})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: cores %v, want %v", c.name, got, c.want)
		}
	}
	(&cores{}).calm() // nobody cares
	(&cores{}).hurry()
}

// A heartbeat takes along what is to be delivered, if the last append is not too recent;
// without one, what has collected goes after a while.
func TestGatherGoesWithAHeartbeat(t *testing.T) {
	for _, c := range []struct {
		name     string
		lastGood time.Duration // before
		beats    []time.Duration
		want     time.Duration
	}{
		{"no heartbeat", 0, nil, coalesce},
		{"an append long ago", 5 * time.Second, []time.Duration{200 * time.Millisecond}, 200 * time.Millisecond},
		{"a heartbeat too early, the next one takes it", 0, []time.Duration{time.Second, 2 * time.Second}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				beat := make(chan struct{}, 1)
				d := &delivery{
					beat: beat, ended: make(chan struct{}), watched: new(atomic.Bool),
					from: spool.InMemory(spool.Meta{}, spool.Limits{}, errNoStateDir), lastGood: time.Now().Add(-c.lastGood),
				}
				for _, at := range c.beats {
					time.AfterFunc(at, func() { poke(beat) })
				}
				begun := time.Now()
				if err := d.gather(context.Background()); err != nil || time.Since(begun) != c.want {
					t.Errorf("after %v: %v; want %v", time.Since(begun), err, c.want)
				}
			})
		})
	}
}
