package shares

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Many who wait of one owner are served in their order, and keep no other owner waiting.
func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{All: 3, Token: 1, Address: 1}, time.Now)
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				p, err := s.EnterWait(t.Context(), Owner{Token: "many"}, 1, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				<-time.After(time.Second)
				p.Leave()
			})
			synctest.Wait() // they come one after the other
		}
		began := time.Now()
		p, err := s.EnterWait(t.Context(), Owner{Token: "other"}, 1, nil)
		if err != nil || time.Since(began) != 0 {
			t.Errorf("another owner waited %s: %v", time.Since(began), err)
		}
		all.Wait()
		if !slices.IsSorted(order) || len(order) != 100 {
			t.Errorf("served in the order %v", order)
		}
		p.Leave()
		if s.Used() != 0 || len(s.waiting) != 0 || len(s.owners) != 0 {
			t.Errorf("%d in use, %d wait, %d owners", s.Used(), len(s.waiting), len(s.owners))
		}
	})
}

// A waiter that gives up leaves the queue and takes no place.
func TestWaitersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{All: 1, Token: 1, Address: 1}, time.Now)
		p, err := s.Enter(Owner{Token: "a"}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				limit, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Second)
				defer cancel()
				if _, err := s.EnterWait(limit, Owner{Token: "b"}, 1, nil); (err == nil) != (i == 6) {
					t.Errorf("%d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		<-time.After(5500 * time.Millisecond)
		p.Leave()
		all.Wait()
		if s.Used() != 1 || len(s.waiting) != 0 {
			t.Errorf("%d in use, %d wait", s.Used(), len(s.waiting))
		}
	})
}
