package live

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

// countingStore counts how often changes are read.
type countingStore struct {
	Store
	reads atomic.Int64
	fail  error
}

func (s *countingStore) Events(context.Context, string, int64, int) ([]job.RunEvent, error) {
	s.reads.Add(1)
	return nil, s.fail
}

// The streams of all runs read changes once together, and again after a commit.
func TestStreamsOfAllRunsShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, b := &countingStore{}, NewBroker()
		ask := func(reads int64) error {
			t.Helper()
			_, err := b.recent.events(t.Context(), store, 5)
			if n := store.reads.Load(); n != reads {
				t.Errorf("%d reads, want %d", n, reads)
			}
			return err
		}
		for range 100 {
			if err := ask(1); err != nil {
				t.Fatal(err)
			}
		}
		b.Notify("a-run")
		if err := ask(2); err != nil {
			t.Error(err)
		}
		<-time.After(reuseLimit) // another server on the same database may have committed
		if err := ask(3); err != nil {
			t.Error(err)
		}
		store.fail = fmt.Errorf("no database: %w", context.DeadlineExceeded)
		b.Notify("a-run")
		if err := ask(4); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
