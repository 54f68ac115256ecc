package diagnose

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

// containsAny reports whether text contains one of signs.
func containsAny(text string, signs ...string) bool {
	for _, s := range signs {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// lastMemory returns the memory that was measured last, and its limit.
func lastMemory(c Clues) (used, limit int64) {
	used, limit = c.Evidence.Beat.MemoryBytes, c.Evidence.Beat.MemoryLimitBytes
	if n := len(c.Samples); n > 0 && c.Samples[n-1].MemoryBytes > 0 {
		used = c.Samples[n-1].MemoryBytes
		limit = max(limit, c.Samples[n-1].LimitBytes)
	}
	if limit <= 0 {
		limit = c.Evidence.Limits.MemoryBytes
	}
	return used, limit
}

// lastPressure returns the pressure that was measured last; nil if it was not measured.
func lastPressure(c Clues) *job.Pressure {
	for i := len(c.Samples) - 1; i >= 0; i-- {
		if c.Samples[i].Pressure != nil {
			return c.Samples[i].Pressure
		}
	}
	return c.Evidence.Beat.Pressure
}

// pressureText returns a sentence about the pressure of memory; empty if there was little.
func pressureText(c Clues) string {
	if p := lastPressure(c); p != nil && p.Memory >= 5 {
		return fmt.Sprintf(" Its tasks waited for memory %.0f %% of the time.", p.Memory)
	}
	return ""
}

// growthText returns a sentence about the growth of memory before the end; empty if it did not grow steadily.
func growthText(c Clues) string {
	points := c.Evidence.Memory
	if n := len(c.Samples); n >= 5 {
		points = nil
		for _, s := range c.Samples[max(0, n-60):] {
			points = append(points, lease.MemoryPoint{At: s.At, Bytes: s.MemoryBytes})
		}
	}
	slope, r2 := rules.FitLine(points)
	if len(points) < 5 || r2 < 0.7 || slope*60 < 1<<20 {
		return ""
	}
	lasting := points[len(points)-1].At.Sub(points[0].At)
	return fmt.Sprintf(" It had grown by %s a minute for %s.", job.Bytes(int64(slope*60)), rules.Span(lasting.Round(time.Second)))
}
