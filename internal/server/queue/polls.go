package queue

import (
	"slices"
	"sync"
)

// mostAsking is how many requests look for a run at once after a wake-up.
const mostAsking = 4

// Polls are the requests for runs that are held open. After a wake-up they look for a run one after
// another, beginning with the one that waits longest, each once: so that workers share runs in turn, and
// a thousand idle ones do not ask the database at the same moment. The zero value has none.
type Polls struct {
	mu      sync.Mutex
	wakeups uint64  // so far
	forAll  uint64  // the last one that every request looks after
	waiting []*Poll // the one that waits longest first
	asking  int     // have their turn
}

// Poll is a request that is held open.
type Poll struct {
	of   *Polls
	turn chan struct{}
	seen uint64 // wake-ups after which it has looked, or began to
	busy bool   // has its turn
}

// Enter adds a request. A wake-up from now on gives it a turn, so the caller looks for a run after that.
// It must call Leave.
func (p *Polls) Enter() *Poll {
	p.mu.Lock()
	defer p.mu.Unlock()
	poll := &Poll{of: p, turn: make(chan struct{}, 1), seen: p.wakeups}
	p.waiting = append(p.waiting, poll)
	return poll
}

// Wake gives every request a turn, in order, until one reports that nothing is left. It never blocks.
func (p *Polls) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeups++
	p.next()
}

// WakeAll gives every request a turn, in order, whether a run is left or not. It never blocks.
func (p *Polls) WakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeups++
	p.forAll = p.wakeups
	p.next()
}

// Count returns how many requests are held open.
func (p *Polls) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// next gives turns to those that have not looked since the last wake-up; first to those that have not looked since
// earlier ones, so that wake-ups that come faster than requests look leave nobody out.
func (p *Polls) next() {
	for p.asking < mostAsking {
		var first *Poll
		for _, poll := range p.waiting {
			if poll.seen < p.wakeups && !poll.busy && (first == nil || poll.seen < first.seen) {
				first = poll
			}
		}
		if first == nil {
			return
		}
		first.seen, first.busy = p.wakeups, true
		p.asking++
		first.turn <- struct{}{}
	}
}

// Turn returns a channel with a value when it is this request's turn to look. Done ends the turn.
func (p *Poll) Turn() <-chan struct{} { return p.turn }

// Done ends the turn.
func (p *Poll) Done() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.end()
}

// NoneLeft reports in the turn of this request that no run is ready any more: other requests need not look after the
// wake-ups so far, but for WakeAll.
func (p *Poll) NoneLeft() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	for _, other := range p.of.waiting {
		if !other.busy && other.seen >= p.of.forAll {
			other.seen = max(other.seen, p.seen)
		}
	}
}

// Leave removes the request. A turn that it has ends.
func (p *Poll) Leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.waiting = slices.DeleteFunc(p.of.waiting, func(other *Poll) bool { return other == p })
	p.end()
}

func (p *Poll) end() {
	if p.busy {
		p.busy = false
		p.of.asking--
		p.of.next()
	}
}
