package intake

import (
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
)

// pacer lengthens the periods of heartbeats when all agents together would send more of them than
// the target. In each window it counts how many heartbeats there would have been with the periods
// that the agents asked for. That number does not depend on the current factor, so that the factor
// does not oscillate.
type pacer struct {
	interval time.Duration // of a window
	target   float64       // heartbeats per second

	mu     sync.Mutex
	since  time.Time // when the window began
	demand float64   // heartbeats in this window, each multiplied by the current factor
	factor float64   // by which periods are lengthened; at least 1
}

// maxFactor is the largest factor by which a period is lengthened.
const maxFactor = 20

func newPacer(target float64) *pacer {
	return &pacer{interval: 10 * time.Second, target: target, factor: 1}
}

// next counts a heartbeat and returns how long after it the agent is to send the next one.
func (p *pacer) next(now time.Time, period time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		p.since = now
	}
	if passed := now.Sub(p.since); passed >= p.interval {
		p.factor = min(max(p.demand/passed.Seconds()/p.target, 1), maxFactor)
		p.since, p.demand = now, 0
	}
	p.demand += p.factor
	return min(time.Duration(float64(period)*p.factor), max(lease.MaxPeriod, period))
}
