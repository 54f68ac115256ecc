package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// guesses is how many wrong tokens an address may bring at once, and guessEvery how
	// soon it may bring one more. A token has 256 random bits: this is not against
	// guessing but against the load, and against a log full of it.
	guesses    = 10
	guessEvery = 6 * time.Second
	// watchedAddresses bounds the memory for it.
	watchedAddresses = 4096
)

// Failures counts wrong tokens per address. A right token is never refused because of it.
type Failures struct {
	mu    sync.Mutex
	since map[netip.Prefix]time.Time // when the address will have, or had, no debt left
}

// NewFailures makes a count of none.
func NewFailures() *Failures { return &Failures{since: map[netip.Prefix]time.Time{}} }

// Wait is how long an address must wait before a wrong token of it gets an answer of its
// own again; 0 for not at all.
func (f *Failures) Wait(addr netip.Prefix, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.since[addr].Add(-(guesses-1)*guessEvery).Sub(now))
}

// Count notes a wrong token.
func (f *Failures) Count(addr netip.Prefix, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.since[addr]; !known && len(f.since) >= watchedAddresses {
		f.makeRoom(now)
	}
	from := f.since[addr]
	if from.Before(now) {
		from = now
	}
	f.since[addr] = from.Add(guessEvery)
}

// makeRoom forgets the addresses without a debt, and one of the others if there are none.
func (f *Failures) makeRoom(now time.Time) {
	for addr, at := range f.since {
		if !at.After(now) {
			delete(f.since, addr)
		}
	}
	for addr := range f.since {
		if len(f.since) < watchedAddresses {
			return
		}
		delete(f.since, addr)
	}
}
