// Package shares divides a limited resource of a server (memory, connections, room in a queue)
// among its clients, so that one client cannot use it all.
package shares

import (
	"fmt"
	"sync"
	"time"
)

// Owner is the client that a share belongs to. A token takes precedence over the address: of many
// machines behind one address, each with a token, each has a share. The zero Owner is the server
// itself, which may use everything.
type Owner struct {
	Token   string // empty without one
	Address string
}

// key is the name under which an owner's use is counted.
func (o Owner) key() Owner {
	if o.Token != "" {
		return Owner{Token: o.Token}
	}
	return o
}

// Limits are the limits of use at one time. An owner may use more than its share while as much as
// it uses is free for others.
type Limits struct {
	All     int64
	Token   int64 // the share of each token
	Address int64 // the share of each address, for clients without a token
	// Silence is how long a holder may show no activity before it can lose its place to another
	// for which there is no room; 0 for no limit.
	Silence time.Duration
}

// share is the share of an owner.
func (l Limits) share(o Owner) int64 {
	switch {
	case o.Token != "":
		return min(l.Token, l.All)
	case o.Address != "":
		return min(l.Address, l.All)
	}
	return l.All
}

// FullError is the error when there is no room.
type FullError struct {
	Limit int64
	Own   bool // it is the owner's own share that is used up
}

func (e *FullError) Error() string {
	if e.Own {
		return fmt.Sprintf("one client uses all of its share of %d", e.Limit)
	}
	return fmt.Sprintf("all of %d are in use", e.Limit)
}

// Shares counts what each owner uses.
type Shares struct {
	limits Limits
	now    func() time.Time

	mu      sync.Mutex
	used    int64
	owners  map[Owner]*use
	waiting map[Owner][]*waiter // of each owner in the order in which they came
}

// use is what one owner has.
type use struct {
	amount int64
	places map[*Place]struct{}
}

// Place is one holder of an owner: a request, a connection.
type Place struct {
	shares *Shares
	owner  Owner
	drop   func()

	// Guarded by Shares.mu:
	amount     int64
	progressAt time.Time // of the last progress
	dropped    bool      // drop was called
	protected  bool      // see Protect
	waiting    bool      // for room
	released   bool      // Leave was called
}

// New makes shares; now is the clock.
func New(l Limits, now func() time.Time) *Shares {
	return &Shares{limits: l, now: now, owners: map[Owner]*use{}, waiting: map[Owner][]*waiter{}}
}

// Enter makes a place for an owner that holds n. drop is called, at most once, when the holder
// was silent for too long and has to make room: it must not block, and lead to Leave. It may be
// nil for a holder that cannot be interrupted.
func (s *Shares) Enter(o Owner, n int64, drop func()) (*Place, error) {
	s.mu.Lock()
	p := &Place{shares: s, owner: o.key(), drop: drop, progressAt: s.now()}
	victim, err := s.take(p, n)
	s.mu.Unlock()
	victim.cut()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Grow takes n more for a place.
func (p *Place) Grow(n int64) error {
	p.shares.mu.Lock()
	victim, err := p.shares.take(p, n)
	p.shares.mu.Unlock()
	victim.cut()
	return err
}

// Shrink releases n of a place.
func (p *Place) Shrink(n int64) {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.shares.give(p, n)
}

// Leave releases everything. It may be called more than once, and on nil.
func (p *Place) Leave() {
	if p == nil {
		return
	}
	s := p.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.released {
		return
	}
	p.released = true
	s.give(p, p.amount)
	if u := s.owners[p.owner]; u != nil {
		delete(u.places, p)
		s.forget(p.owner, u)
	}
}

// Progress records that the holder is active.
func (p *Place) Progress() {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.progressAt = p.shares.now()
}

// Protect sets whether a place is protected from being dropped for silence. Silence counts from now.
func (p *Place) Protect(kept bool) {
	p.shares.mu.Lock()
	defer p.shares.mu.Unlock()
	p.protected, p.progressAt = kept, p.shares.now()
}

// Move counts a place for another owner from now on, when a client is identified later. It is not
// refused: the place exists already.
func (p *Place) Move(to Owner) {
	s := p.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	to = to.key()
	if p.released || p.owner == to {
		return
	}
	if u := s.owners[p.owner]; u != nil {
		u.amount -= p.amount
		delete(u.places, p)
		s.forget(p.owner, u)
	}
	p.owner = to
	u := s.use(to)
	u.amount += p.amount
	u.places[p] = struct{}{}
	s.serve()
}

// Used is how much is used in all.
func (s *Shares) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

func (s *Shares) use(o Owner) *use {
	u := s.owners[o]
	if u == nil {
		u = &use{places: map[*Place]struct{}{}}
		s.owners[o] = u
	}
	return u
}

func (s *Shares) forget(o Owner, u *use) {
	if len(u.places) == 0 {
		delete(s.owners, o)
	}
}

// take counts n more for a place, or returns FullError and the holder that may be dropped for it.
// The caller holds mu, as for all below.
func (s *Shares) take(p *Place, n int64) (victim *Place, err error) {
	if s.fits(p, n) {
		s.add(p, n)
		return nil, nil
	}
	return s.refuse(p, n)
}

// fits reports whether there is room for n more in a place.
func (s *Shares) fits(p *Place, n int64) bool {
	return !p.released && s.used+n <= s.limits.All && s.amount(p.owner)+n <= max(s.limits.share(p.owner), s.limits.All-s.used-n)
}

// refuse returns why there is no room for n more in a place, and the holder that may be dropped.
func (s *Shares) refuse(p *Place, n int64) (victim *Place, err error) {
	share := s.limits.share(p.owner)
	switch {
	case p.released:
		return nil, &FullError{Limit: share, Own: true}
	case s.used+n > s.limits.All:
		return s.silent(nil, p), &FullError{Limit: s.limits.All}
	}
	if u := s.owners[p.owner]; u != nil {
		victim = s.silent(u, p)
	}
	return victim, &FullError{Limit: share, Own: true}
}

// amount is what an owner has.
func (s *Shares) amount(o Owner) int64 {
	if u := s.owners[o]; u != nil {
		return u.amount
	}
	return 0
}

// add counts n more for a place.
func (s *Shares) add(p *Place, n int64) {
	u := s.use(p.owner)
	s.used += n
	u.amount += n
	p.amount += n
	u.places[p] = struct{}{}
}

func (s *Shares) give(p *Place, n int64) {
	n = min(n, p.amount)
	s.used -= n
	p.amount -= n
	if u := s.owners[p.owner]; u != nil {
		u.amount -= n
	}
	s.serve()
}

// silent finds the holder that has been silent for longest among those who may be dropped: of
// one owner, or of the owner that uses most.
func (s *Shares) silent(of *use, but *Place) *Place {
	if s.limits.Silence <= 0 {
		return nil
	}
	before := s.now().Add(-s.limits.Silence)
	var found *Place
	most := int64(-1)
	for _, u := range s.owners {
		if of != nil && u != of || u.amount < most {
			continue
		}
		if p := u.longest(before, but); p != nil && (found == nil || u.amount > most || p.progressAt.Before(found.progressAt)) {
			found, most = p, u.amount
		}
	}
	if found != nil {
		found.dropped = true
	}
	return found
}

// longest is the place that has been silent for longest, and since before a time.
func (u *use) longest(before time.Time, but *Place) *Place {
	var found *Place
	for p := range u.places {
		if p == but || p.amount == 0 || p.protected || p.waiting || p.dropped || p.drop == nil || !p.progressAt.Before(before) {
			continue
		}
		if found == nil || p.progressAt.Before(found.progressAt) {
			found = p
		}
	}
	return found
}

// cut notifies the holder of a place that it is lost.
func (p *Place) cut() {
	if p != nil {
		p.drop()
	}
}
