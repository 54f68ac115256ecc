package intake

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/server/httpio"
)

// idleCommitter returns a committer that does not run.
func idleCommitter(g *groups) *committer {
	return newCommitter(g, callbacks{
		append: func(index.Append, index.Appended) {},
		beat:   func(lease.Beat, lease.BeatResult) {},
	}, newCounters(metrics.NewSet()), time.Now, 0)
}

// When its context ends, run fails the commit under way and what is queued, refuses further entries,
// and returns.
func TestRunEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c := idleCommitter(g)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.run(ctx)
	}()
	results := make(chan error, 2)
	send := func() {
		_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
		results <- err
	}
	go send()
	<-g.entered
	go send()
	waitQueued(t, c, 1)
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("an append returned %v", err)
		}
	}
	<-ended
	_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
	var p *httpio.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable {
		t.Errorf("after the end: %v", err)
	}
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A committer that does not run starts nothing, accepts entries, and answers them once it runs.
func TestEntriesWaitForRun(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	close(g.release)
	c := idleCommitter(g)
	goleak.VerifyNone(t)
	result := make(chan error, 1)
	go func() {
		_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
		result <- err
	}()
	waitQueued(t, c, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close returned %v before run was called", err)
	}
	c.run(t.Context())
	if err := <-result; err != nil {
		t.Errorf("the append returned %v", err)
	}
}
