package shares

import (
	"sync"
	"time"
)

// Rate bounds how often each owner does something in a period.
type Rate struct {
	limit  int
	period time.Duration
	now    func() time.Time

	mu     sync.Mutex
	owners map[Owner]*count
}

// count is how often an owner did it since the first time within a period.
type count struct {
	since time.Time
	n     int
}

// manyOwners is how many are remembered before those whose period is over are forgotten.
const manyOwners = 4096

// NewRate makes a bound of so many in a period; 0 is no bound.
func NewRate(limit int, period time.Duration, now func() time.Time) *Rate {
	return &Rate{limit: limit, period: period, now: now, owners: map[Owner]*count{}}
}

// Full reports whether an owner has done it as often as they may, and when they may again.
func (r *Rate) Full(o Owner) (wait time.Duration, full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.owners[o.key()]
	if r.limit <= 0 || c == nil || c.n < r.limit {
		return 0, false
	}
	if wait = c.since.Add(r.period).Sub(r.now()); wait <= 0 {
		delete(r.owners, o.key())
		return 0, false
	}
	return wait, true
}

// Count notes that an owner has done it.
func (r *Rate) Count(o Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	c := r.owners[o.key()]
	if c == nil || now.Sub(c.since) >= r.period {
		if len(r.owners) >= manyOwners {
			r.forget(now)
		}
		c = &count{since: now}
		r.owners[o.key()] = c
	}
	c.n++
}

// forget drops the owners whose period is over.
func (r *Rate) forget(now time.Time) {
	for o, c := range r.owners {
		if now.Sub(c.since) >= r.period {
			delete(r.owners, o)
		}
	}
}
