package live

import "sync"

// Broker wakes those who follow runs when something new has been committed. A wake-up
// carries no data: the follower reads the store at its own pace, so a slow one costs no
// memory and none can miss anything. Subscribe first, then read: a commit after the
// subscription leaves a wake-up behind.
//
// It only knows what this process committed. Another server on the same database wakes
// nobody here, which is why followers also look by themselves once in a while.
type Broker struct {
	mu   sync.Mutex
	runs map[string]*followed
	all  *followed // every run

	// recent lets followers of one run share what they read of its journal.
	recent *blockCache
}

// NewBroker makes a broker that nobody listens to yet.
func NewBroker() *Broker {
	b := &Broker{runs: make(map[string]*followed), all: newFollowed(0)}
	b.recent = newBlockCache(recentBytes, b.followed)
	return b
}

// followed is what a run's followers have in common, or those of all runs when run is empty.
func (b *Broker) followed(run string) *followed {
	if run == "" {
		return b.all
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[run]
}

// Subscription receives wake-ups until it is closed.
type Subscription struct {
	broker *Broker
	run    string
	wake   chan struct{}
}

// Subscribe listens for one run, or for all when run is empty. The caller must Close it.
func (b *Broker) Subscribe(run string) *Subscription {
	s := &Subscription{broker: b, run: run, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if run == "" {
		b.all.subs[s] = struct{}{}
		return s
	}
	if b.runs[run] == nil {
		b.runs[run] = newFollowed(b.recent.commits.Add(1))
	}
	b.runs[run].subs[s] = struct{}{}
	return s
}

// Wake is ready when something was committed since it was last received from. Several
// commits make one wake-up.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Close ends the subscription. Closing twice is harmless.
func (s *Subscription) Close() {
	b := s.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all.subs, s)
	if f := b.runs[s.run]; f != nil {
		delete(f.subs, s)
		if len(f.subs) == 0 {
			delete(b.runs, s.run)
		}
	}
}

// Notify says that something about a run was committed. It never blocks.
func (b *Broker) Notify(run string) {
	commit := b.recent.commits.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.runs[run]; f != nil {
		f.committed(commit)
		for s := range f.subs {
			s.notify()
		}
	}
	b.all.committed(commit)
	for s := range b.all.subs {
		s.notify()
	}
}

func (s *Subscription) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // one is waiting already
	}
}

// Watched reports whether somebody follows this run live here, so that its agent sends
// what the job prints at once.
func (b *Broker) Watched(run string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[run] != nil
}

// Readers counts the live streams that are open.
func (b *Broker) Readers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.all.subs)
	for _, f := range b.runs {
		n += len(f.subs)
	}
	return n
}
