// Package heap decides how often a server collects garbage.
package heap

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"stint.dev/stint/internal/periodic"
)

const (
	// leastGC is GOGC for a server with many agents: most of its memory belongs to idle connections,
	// so that collecting twice as often costs a hundredth of a core, and saves a sixth of the
	// memory.
	leastGC = 50
	// growthMB is what the heap may grow by, however small it is: with GOGC=50 a server with few agents would collect after
	// each 5 MB, which is a tenth of the CPU of a start.
	growthMB = 24
	// mostGC is the most that GOGC becomes.
	mostGC = 400
)

// gcPercent returns the value of GOGC for a heap of which so many bytes were in use after the last collection.
func gcPercent(live uint64) int {
	return int(min(max(leastGC, 100*growthMB<<20/max(live, 1)), mostGC))
}

// Follow sets GOGC for the heap as it is, each second until ctx ends.
func Follow(ctx context.Context) {
	live, percent := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, mostGC
	debug.SetGCPercent(percent)
	periodic.Loop{Every: time.Second}.Run(ctx, func(time.Time) error {
		metrics.Read(live)
		if next := gcPercent(live[0].Value.Uint64()); next < percent || next > percent+percent/8 {
			percent = next
			debug.SetGCPercent(percent)
		}
		return nil
	})
}
