package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// Only one transaction holds the lock of a job: of many on one server, and on two servers.
func TestLockJob(t *testing.T) {
	one := openSQLite(t)
	url := postgrestest.URL(t)
	first, second := openURL(t, url), openURL(t, url)
	for name, stores := range map[string][]*store.Store{"sqlite": {one, one}, "postgres": {first, second}} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			counts := map[string]*int{"a": new(int), "b": new(int)}
			for i := range 40 {
				job := []string{"a", "b"}[i/2%2]
				all.Go(func() {
					unlock, err := stores[i%2].LockJob(t.Context(), job)
					if err != nil {
						t.Error(err)
						return
					}
					defer unlock()
					*counts[job]++ // the race detector sees who is not alone
				})
			}
			all.Wait()
			if *counts["a"] != 20 || *counts["b"] != 20 {
				t.Errorf("locked %d and %d times", *counts["a"], *counts["b"])
			}
			unlock, err := stores[0].LockJob(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := stores[1].LockJob(ctx, "a"); err == nil {
				t.Error("two have the lock of one job")
			}
			other, err := stores[1].LockJob(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			other()
			unlock()
			if unlock, err = stores[1].LockJob(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			unlock()
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.LockJob(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that went away: %v", err)
	}
}
