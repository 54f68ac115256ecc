package live

import (
	"sync"
	"testing"
)

func TestBrokerWakesFollowersOfTheRunAndOfAll(t *testing.T) {
	b := NewBroker()
	one, other, all := b.Subscribe("one"), b.Subscribe("other"), b.Subscribe("")
	b.Notify("one")
	b.Notify("one")
	for name, want := range map[string]struct {
		sub  *Subscription
		wake bool
	}{"one": {one, true}, "other": {other, false}, "all": {all, true}} {
		select {
		case <-want.sub.Wake():
			if !want.wake {
				t.Errorf("%s was woken for another run", name)
			}
		default:
			if want.wake {
				t.Errorf("%s was not woken", name)
			}
		}
		select {
		case <-want.sub.Wake():
			t.Errorf("%s: two commits must make one wake-up", name)
		default:
		}
	}
	if b.Readers() != 3 {
		t.Errorf("%d readers, not 3", b.Readers())
	}
	for _, s := range []*Subscription{one, other, all} {
		s.Close()
		s.Close()
	}
	if b.Readers() != 0 || len(b.runs) != 0 {
		t.Errorf("closed subscriptions are still held: %d readers, %d runs", b.Readers(), len(b.runs))
	}
}

func TestBrokerWatched(t *testing.T) {
	b := NewBroker()
	all := b.Subscribe("")
	defer all.Close()
	if b.Watched("run") {
		t.Error("a follower of everything does not watch one run")
	}
	first, second := b.Subscribe("run"), b.Subscribe("run")
	first.Close()
	if !b.Watched("run") {
		t.Error("one of two followers left, and the run is not watched any more")
	}
	second.Close()
	if b.Watched("run") {
		t.Error("nobody is left, and the run is still watched")
	}
}

// A follower that subscribes, looks, and waits must see every commit: here a counter
// stands for the store.
func TestBrokerLosesNoWakeUp(t *testing.T) {
	b := NewBroker()
	var mu sync.Mutex
	stored := 0
	const commits = 2000
	var followers sync.WaitGroup
	for range 8 {
		sub := b.Subscribe("run")
		followers.Go(func() {
			defer sub.Close()
			for {
				mu.Lock()
				seen := stored
				mu.Unlock()
				if seen == commits {
					return
				}
				<-sub.Wake()
			}
		})
	}
	for range commits {
		mu.Lock()
		stored++
		mu.Unlock()
		b.Notify("run")
	}
	followers.Wait()
}
