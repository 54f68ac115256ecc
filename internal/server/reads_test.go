package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
)

// slowStore reads for a long time.
type slowStore struct {
	Store
	now, most atomic.Int64
}

func (s *slowStore) Runs(ctx context.Context, _ query.Runs) (query.RunPage, error) {
	if now := s.now.Add(1); now > s.most.Load() {
		s.most.Store(now) // nobody else runs in between: this is a bubble of synctest
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return query.RunPage{}, ctx.Err()
}

func (s *slowStore) JournalSize(context.Context, string, int) (int64, error) { return 7, nil }

// However much one client reads, others have their turns, and an agent that sends a journal needs none.
func TestReadsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{}
		s := shareReads(slow)
		as := func(token string) context.Context { return access.WithCaller(t.Context(), access.Caller{Token: token}) }
		var late atomic.Int64
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := s.Runs(as("greedy"), query.Runs{})
				var p *httpio.Problem
				if errors.As(err, &p) && p.Status == http.StatusTooManyRequests && p.RetryAfter > 0 {
					late.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := s.Runs(as("other"), query.Runs{}); err != nil || time.Since(began) != time.Second {
			t.Errorf("another client's read took %s: %v", time.Since(began), err)
		}
		if size, err := s.JournalSize(as("greedy"), "", 1); err != nil || size != 7 {
			t.Errorf("%d, %v", size, err)
		}
		gone, cancel := context.WithCancel(as("greedy"))
		cancel()
		if _, err := s.Runs(gone, query.Runs{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has gone: %v", err)
		}
		all.Wait()
		if most := slow.most.Load(); most > maxReads {
			t.Errorf("%d reads at once", most)
		}
		if n := late.Load(); n < 50 || n >= 100 {
			t.Errorf("%d of 100 reads had no turn within %s", n, readTurnTimeout)
		}
	})
}
