package live

import "sync"

// Broker wakes subscribers when something has been committed. A wake-up has no data: the subscriber
// reads the store at its own pace, so that a slow one needs no memory and none misses anything. A
// subscriber must subscribe before it reads, so that a commit in between leaves a wake-up.
//
// The broker only knows the commits of this process. Because of those of other servers on the same
// database, subscribers also read the store from time to time.
type Broker struct {
	mu   sync.Mutex
	runs map[string]*followed
	all  *followed // every run

	// recent shares what is read from the store among the subscribers.
	recent *blockCache
}

// NewBroker returns a Broker without subscribers.
func NewBroker() *Broker {
	b := &Broker{runs: make(map[string]*followed), all: newFollowed(0)}
	b.recent = newBlockCache(recentBytes, b.followed)
	return b
}

// followed returns what the subscribers of a run share, or those of all runs if run is empty; nil for a
// run without subscribers.
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

// Subscribe returns a subscription to one run, or to all runs if run is empty. The caller must close it.
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

// Wake returns a channel with a value if something was committed since the last receive. Several commits
// leave one value.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Close ends the subscription. It may be called more than once.
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

// Notify wakes the subscribers of a run, and those of all runs, after a commit. It never blocks.
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
	default: // there is a wake-up already
	}
}

// Watched reports whether a run has a subscriber, so that its agent should send output at once.
func (b *Broker) Watched(run string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[run] != nil
}

// Readers returns how many live streams are open.
func (b *Broker) Readers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.all.subs)
	for _, f := range b.runs {
		n += len(f.subs)
	}
	return n
}
