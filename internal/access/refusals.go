package access

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// refusalEvery is how often refusals of one address are reported, and mostReports
	// how many reports there are in such a time over all addresses.
	refusalEvery = time.Minute
	mostReports  = 60
)

// Refusals counts refused log-ins and tokens per address, for one report a minute. Its
// methods may be called at the same time.
type Refusals struct {
	mu     sync.Mutex
	known  *lru[netip.Prefix, refusal]
	since  time.Time // when the running minute began
	writes int       // reports in it
}

type refusal struct {
	reported time.Time
	times    int // since then
}

// NewRefusals makes a count of none.
func NewRefusals() *Refusals {
	return &Refusals{known: newLRU[netip.Prefix, refusal](watchedAddresses)}
}

// Count notes a refusal and returns how many are to be reported now; 0 for a report later.
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

// Due returns how many refusals of which addresses are to be reported now.
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
		return now.Sub(r.reported) >= refusalEvery
	})
	return due
}

// report takes the refusals of an address for a report, if one is due.
func (f *Refusals) report(r *refusal, now time.Time) (times int) {
	if now.Sub(f.since) >= refusalEvery {
		f.since, f.writes = now, 0
	}
	if now.Sub(r.reported) < refusalEvery || f.writes >= mostReports {
		return 0
	}
	f.writes++
	times, r.times, r.reported = r.times, 0, now
	return times
}
