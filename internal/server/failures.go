package server

import (
	"net"
	"net/http"
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

// failures counts wrong tokens per address. A right token is never refused by it.
type failures struct {
	mu    sync.Mutex
	since map[netip.Prefix]time.Time // when the address will have, or had, no debt left
}

func newFailures() *failures { return &failures{since: map[netip.Prefix]time.Time{}} }

// wait is how long an address must wait before its next guess is looked at; 0 for not at
// all.
func (f *failures) wait(addr netip.Prefix, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.since[addr].Add(-(guesses-1)*guessEvery).Sub(now))
}

// count notes a wrong guess.
func (f *failures) count(addr netip.Prefix, now time.Time) {
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
func (f *failures) makeRoom(now time.Time) {
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

// addressOf is where a request comes from. IPv6 addresses count by their /64 network,
// because who has one has all of it.
func addressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if addr = addr.Unmap(); addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
