package server

import (
	"sync"
	"time"
)

// Lease policy. The lease begins when the next heartbeat is due, because nothing can be missed
// before: a path that is cut for no longer than the lease makes no run lost, whenever the cut
// begins. It is two periods, so that two lost heartbeats say nothing, and at least a period and
// leaseOutage. Then the agent has a quarter of it more, at least returnTime, in which its next try
// arrives (docs/states.md has the arithmetic). All that ends after a quarter of an hour at the
// latest, because somebody waits for the verdict.
const (
	defaultPeriod = 5 * time.Second
	minPeriod     = time.Second
	maxPeriod     = 5 * time.Minute
	leaseOutage   = 15 * time.Second
	maxTrust      = 15 * time.Minute
	leaseBeats    = 2
	returnTime    = 5 * time.Second
	// suspendedLease is how long an agent is trusted that has stopped itself and its job.
	suspendedLease = 24 * time.Hour
)

// LeaseFor is how long an agent may be silent when a heartbeat was due, for heartbeats that come
// each period.
func LeaseFor(period time.Duration) time.Duration {
	return min(max(leaseBeats*period, period+leaseOutage), 4*(maxTrust-period)/5)
}

// TrustFor is how long a heartbeat is trusted when the next one is due after period and has
// lease to come.
func TrustFor(period, lease time.Duration) time.Duration {
	return period + lease + max(returnTime, lease/4)
}

// periodOf is the period an agent asked for, within bounds.
func periodOf(ms int64) time.Duration {
	switch {
	case ms <= 0:
		return defaultPeriod
	case ms >= maxPeriod.Milliseconds():
		return maxPeriod
	}
	return max(time.Duration(ms)*time.Millisecond, minPeriod)
}

// pacer stretches the fleet's heartbeats when there would be more of them than the server
// is meant to take. It counts, in each window, how many beats there would have been at
// the periods that agents asked for; that does not depend on the stretch in force, so
// that the stretch does not swing.
type pacer struct {
	window time.Duration
	target float64 // beats per second

	mu      sync.Mutex
	since   time.Time
	demand  float64 // beats in this window, each times the stretch in force
	stretch float64 // of replies now; at least 1
}

// maxStretch bounds how much slower than asked agents are told to beat.
const maxStretch = 20

func newPacer(target float64) *pacer {
	return &pacer{window: 10 * time.Second, target: target, stretch: 1}
}

// next counts a beat and returns when the agent should beat again.
func (p *pacer) next(now time.Time, period time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		p.since = now
	}
	if passed := now.Sub(p.since); passed >= p.window {
		p.stretch = min(max(p.demand/passed.Seconds()/p.target, 1), maxStretch)
		p.since, p.demand = now, 0
	}
	p.demand += p.stretch
	return min(time.Duration(float64(period)*p.stretch), max(maxPeriod, period))
}
