package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// refusalInterval is the interval between two reports of one address, and maxReports
	// the number of reports of all addresses in this time.
	refusalInterval = time.Minute
	maxReports      = 60
)

// Refusals counts refused log-ins and tokens per address for one report a minute. Its
// methods may be called concurrently.
type Refusals struct {
	mu     sync.Mutex
	known  *lru[netip.Prefix, refusal]
	since  time.Time // start of the current minute
	writes int       // reports in this minute
}

type refusal struct {
	reported time.Time
	times    int // refusals since then
}

// NewRefusals returns a Refusals that counts none.
func NewRefusals() *Refusals {
	return &Refusals{known: newLRU[netip.Prefix, refusal](maxAddresses)}
}

// Count counts a refusal and returns the number to report now, or 0 if the report is made later.
func (f *Refusals) Count(addr netip.Prefix, now time.Time) (times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.known.get(addr)
	if r == nil {
		f.known.put(addr, refusal{})
		r = f.known.get(addr)
	}
	r.times++
	return f.report(r, now)
}

// Due returns the number of refusals to report now, by address.
func (f *Refusals) Due(now time.Time) map[netip.Prefix]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := map[netip.Prefix]int{}
	f.known.removeIf(func(addr netip.Prefix, r *refusal) bool {
		if r.times > 0 {
			if times := f.report(r, now); times > 0 {
				due[addr] = times
			}
			return false
		}
		return now.Sub(r.reported) >= refusalInterval
	})
	return due
}

// report takes the refusals of an address for a report, if one is due.
func (f *Refusals) report(r *refusal, now time.Time) (times int) {
	if now.Sub(f.since) >= refusalInterval {
		f.since, f.writes = now, 0
	}
	if now.Sub(r.reported) < refusalInterval || f.writes >= maxReports {
		return 0
	}
	f.writes++
	times, r.times, r.reported = r.times, 0, now
	return times
}
