package health

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stuckStore is a store whose answer a test can hold up.
type stuckStore struct {
	*fakeStore
	hold atomic.Pointer[chan struct{}] // nil: it answers
}

func (s *stuckStore) Lead(ctx context.Context) (bool, error) {
	if hold := s.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return s.fakeStore.Lead(ctx)
}

// The time of the last look goes on while the monitor looks, also when looks fail, and not
// while one hangs.
func TestLastLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stuckStore{fakeStore: newFakeStore()}
		m := New(Config{Store: store})
		if age := time.Since(m.LastRound()); age != 0 {
			t.Errorf("before the first look: %s ago", age)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { m.Run(ctx); close(ended) }()
		<-time.After(time.Minute)
		synctest.Wait()
		if age := time.Since(m.LastRound()); age > Interval {
			t.Errorf("while it looks: %s ago", age)
		}
		hold := make(chan struct{})
		store.hold.Store(&hold)
		<-time.After(time.Minute)
		if age := time.Since(m.LastRound()); age < time.Minute-Interval {
			t.Errorf("while a look hangs: %s ago", age)
		}
		close(hold)
		synctest.Wait()
		if age := time.Since(m.LastRound()); age != 0 {
			t.Errorf("when it goes on: %s ago", age)
		}
		cancel()
		<-ended
	})
}
