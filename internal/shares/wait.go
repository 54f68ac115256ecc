package shares

import (
	"context"
	"slices"
	"time"
)

// waiter waits for room for n more in a place.
type waiter struct {
	place   *Place
	n       int64
	granted chan struct{} // closed when it has what it waits for
}

// EnterWait is Enter that waits for room until ctx ends.
func (s *Shares) EnterWait(ctx context.Context, o Owner, n int64, drop func()) (*Place, error) {
	p := &Place{shares: s, owner: o.key(), drop: drop}
	if err := p.GrowWait(ctx, n); err != nil {
		return nil, err
	}
	return p, nil
}

// GrowWait is Grow that waits for room until ctx ends. Waiters of one owner are served in their
// order; an owner that has no room in its share does not delay others.
func (p *Place) GrowWait(ctx context.Context, n int64) error {
	s := p.shares
	w := &waiter{p, n, make(chan struct{})}
	s.mu.Lock()
	p.waiting, p.progressAt = true, s.now()
	s.waiting[p.owner] = append(s.waiting[p.owner], w)
	s.serve()
	s.mu.Unlock()
	for {
		err := w.check()
		if err == nil {
			return nil
		}
		if !w.wait(ctx) {
			return w.giveUp(err)
		}
	}
}

// recheck is how often a waiter checks for holders that have fallen silent.
const recheck = 100 * time.Millisecond

// wait waits until there is room, or may be. It is false when ctx has ended.
func (w *waiter) wait(ctx context.Context) bool {
	var tick <-chan time.Time
	if w.place.shares.limits.Silence > 0 {
		timer := time.NewTimer(recheck)
		defer timer.Stop()
		tick = timer.C
	}
	select {
	case <-w.granted:
	case <-tick:
	case <-ctx.Done():
		return false
	}
	return true
}

// check returns why there is no room yet; nil when there is. A holder that has fallen silent
// loses its place.
func (w *waiter) check() error {
	s := w.place.shares
	s.mu.Lock()
	var victim *Place
	var err error
	select {
	case <-w.granted:
	default:
		victim, err = s.refuse(w.place, w.n)
	}
	s.mu.Unlock()
	victim.cut()
	return err
}

// giveUp ends the wait, with an error unless there was room in the last moment.
func (w *waiter) giveUp(err error) error {
	s := w.place.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	default:
	}
	for owner, of := range s.waiting { // the place may have moved meanwhile
		if i := slices.Index(of, w); i >= 0 {
			s.left(owner, slices.Delete(of, i, i+1))
		}
	}
	w.place.waiting, w.place.progressAt = false, s.now()
	return err
}

// serve gives room to waiters: of each owner in their order, and to owners in any order. The caller
// holds mu.
func (s *Shares) serve() {
	for owner, of := range s.waiting {
		n := 0
		for n < len(of) && s.fits(of[n].place, of[n].n) {
			w := of[n]
			s.add(w.place, w.n)
			w.place.waiting, w.place.progressAt = false, s.now()
			close(w.granted)
			of[n] = nil
			n++
		}
		if n > 0 {
			s.left(owner, of[n:])
		}
		if s.used >= s.limits.All {
			return
		}
	}
}

// left sets the waiters of an owner that remain.
func (s *Shares) left(owner Owner, of []*waiter) {
	if len(of) == 0 {
		delete(s.waiting, owner)
		return
	}
	s.waiting[owner] = of
}
