package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pinged is a store that counts how often it is asked whether it answers.
type pinged struct {
	Store
	mu    sync.Mutex
	asked int
	err   error
}

func (p *pinged) Ping(context.Context) error {
	<-time.After(100 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.err
}

// However many ask whether the server is ready, the database is asked once a second, and a
// client that left asks for nothing.
func TestReadinessIsAskedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, ready := &pinged{}, newReadiness()
		many := func() (failed int) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if ready.check(t.Context(), store, time.Now) != nil {
						mu.Lock()
						defer mu.Unlock()
						failed++
					}
				})
			}
			all.Wait()
			return failed
		}
		if failed := many(); failed != 0 || store.asked != 1 {
			t.Errorf("%d of 100 failed, asked %d times", failed, store.asked)
		}
		store.err = errors.New("away")
		if failed := many(); failed != 0 {
			t.Errorf("%d failed within the second", failed)
		}
		<-time.After(pingInterval)
		if failed := many(); failed != 100 || store.asked != 2 {
			t.Errorf("%d of 100 failed, asked %d times", failed, store.asked)
		}
		<-time.After(pingInterval)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		ready.turn <- struct{}{} // somebody asks for long
		if err := ready.check(gone, store, time.Now); !errors.Is(err, context.Canceled) || store.asked != 2 {
			t.Errorf("a client that left: %v, asked %d times", err, store.asked)
		}
	})
}
