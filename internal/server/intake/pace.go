package intake

import (
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
)

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

// maxStretch bounds how much slower than agents asked they are to beat.
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
	return min(time.Duration(float64(period)*p.stretch), max(lease.MaxPeriod, period))
}
