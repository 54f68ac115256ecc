package lease

import "time"

// Bounds of heartbeat periods and leases. The lease begins when the next heartbeat is due, because nothing can be missed
// before: a path that is cut for no longer than the lease makes no run lost, whenever the cut
// begins. It is two periods, so that two lost heartbeats say nothing, and at least a period and
// minOutageLimit. Then the agent has a quarter of it more, at least returnTimeout, in which its next try
// arrives (docs/leases.md has the arithmetic). All that ends after a quarter of an hour at the
// latest, because somebody waits for the verdict.
const (
	// DefaultPeriod is the period of an agent that asks for none.
	DefaultPeriod = 5 * time.Second
	// MaxPeriod is the longest period that an agent may ask for.
	MaxPeriod      = 5 * time.Minute
	minPeriod      = time.Second
	minOutageLimit = 15 * time.Second
	maxTrustLimit  = 15 * time.Minute
	leaseBeats     = 2
	returnTimeout  = 5 * time.Second
	// Suspended is the lease of a suspended agent, which has stopped itself and its job.
	Suspended = 24 * time.Hour
)

// For returns the time for which an agent may be silent after a heartbeat was due, for heartbeats that come
// each period.
func For(period time.Duration) time.Duration {
	return min(max(leaseBeats*period, period+minOutageLimit), 4*(maxTrustLimit-period)/5)
}

// TrustFor returns how long a heartbeat is trusted when the next one is due after period and may then
// be late by length.
func TrustFor(period, length time.Duration) time.Duration {
	return period + length + max(returnTimeout, length/4)
}

// Period returns the period an agent asked for, within bounds.
func Period(ms int64) time.Duration {
	switch {
	case ms <= 0:
		return DefaultPeriod
	case ms >= MaxPeriod.Milliseconds():
		return MaxPeriod
	}
	return max(time.Duration(ms)*time.Millisecond, minPeriod)
}
