package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxFailures is the number of wrong tokens that an address may send at once. It may send
	// another one after each failureInterval. A token has 256 random bits: the limit is not against
	// guessing but against the load and the log entries of many requests.
	maxFailures     = 10
	failureInterval = 6 * time.Second
	// maxAddresses bounds the memory for addresses.
	maxAddresses = 4096
)

// Failures counts wrong tokens per address. It never delays a request with a valid token.
type Failures struct {
	mu    sync.Mutex
	since map[netip.Prefix]time.Time // time at which the count of the address falls to zero
}

// NewFailures returns a Failures that counts none.
func NewFailures() *Failures { return &Failures{since: map[netip.Prefix]time.Time{}} }

// Wait returns the time after which the next wrong token of an address is answered individually
// again; 0 means now.
func (f *Failures) Wait(addr netip.Prefix, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.since[addr].Add(-(maxFailures-1)*failureInterval).Sub(now))
}

// Count counts a wrong token.
func (f *Failures) Count(addr netip.Prefix, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.since[addr]; !known && len(f.since) >= maxAddresses {
		f.makeRoom(now)
	}
	from := f.since[addr]
	if from.Before(now) {
		from = now
	}
	f.since[addr] = from.Add(failureInterval)
}

// makeRoom removes the addresses whose count is zero, or any one if there are none.
func (f *Failures) makeRoom(now time.Time) {
	for addr, at := range f.since {
		if !at.After(now) {
			delete(f.since, addr)
		}
	}
	for addr := range f.since {
		if len(f.since) < maxAddresses {
			return
		}
		delete(f.since, addr)
	}
}
