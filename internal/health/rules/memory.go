package rules

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

const (
	// A forecast of memory needs enough points on a line, over minSlopeInterval, and the use of a part
	// of the limit, so that the growth at the start of a job is not a finding.
	minPoints          = 5
	minSlopeInterval   = 2 * time.Minute
	minRSquared        = 0.9 // coefficient of determination
	minForecastPercent = 50  // of the limit
	// minAboveUsual is how many bytes above the usual peak are a finding.
	minAboveUsual = 64 << 20
	// hysteresisPercent is how far below its threshold memory must fall to end a finding.
	hysteresisPercent = 5
)

// memory fires if memory is near its limit, will be there soon, or is far above what is usual.
func memory(e evidence) result {
	p := e.policy.Memory
	used, limit := e.Beat.MemoryBytes, e.Beat.MemoryLimitBytes
	if limit <= 0 {
		limit = e.Limits.MemoryBytes
	}
	o := result{inputs: map[string]any{"used_bytes": used, "limit_bytes": limit, "oom_kills": e.Beat.OOMKills}}
	if e.Expected != nil {
		o.inputs["usual_p95_bytes"] = int64(e.Expected.PeakMemoryBytes.P95)
	}
	near, critical := p.Percent, p.Critical
	if e.exceeded("percent", job.Warning) {
		near -= hysteresisPercent
	}
	if e.exceeded("percent", job.Critical) {
		critical--
	}
	percent := 0.0
	if limit > 0 {
		percent = float64(used) * 100 / float64(limit)
		o.inputs["percent"] = rounded(percent)
	}
	switch left, slope, sure := e.forecast(limit, percent); {
	case e.Beat.OOMKills > 0:
		o.fires, o.health = true, job.Critical
		o.inputs[thresholdInput] = "oom_kills"
		o.sentence = fmt.Sprintf("The kernel has killed processes of the job for lack of memory (%d so far).", e.Beat.OOMKills)
	case limit > 0 && percent >= near:
		o.fires, o.health = true, job.Warning
		o.inputs[thresholdInput] = "percent"
		if percent >= critical {
			o.health = job.Critical
		}
		o.sentence = fmt.Sprintf("Memory is at %.0f %% of its limit of %s.%s", percent, job.Bytes(limit), usualPeakText(e))
	case sure:
		o.inputs["slope_bytes_per_second"], o.inputs["seconds_to_limit"] = int64(slope), rounded(left.Seconds())
		within := p.Within.D()
		if e.exceeded("within", job.Warning) {
			within *= 2
		}
		if left <= within {
			o.fires, o.health = true, job.Warning
			o.inputs[thresholdInput] = "within"
			o.sentence = fmt.Sprintf("Memory grows by %s a minute and reaches its limit of %s in about %s.%s",
				job.Bytes(int64(slope*60)), job.Bytes(limit), roundedSpan(left), usualPeakText(e))
		}
	}
	if !o.fires {
		e.aboveUsual(&o, used)
	}
	if o.sentence == "" {
		o.sentence = "Memory is not near its limit."
		if limit <= 0 {
			o.sentence = "Memory has no limit."
		}
	}
	return o
}

// aboveUsual compares memory with that of the good runs.
func (e evidence) aboveUsual(o *result, used int64) {
	factor := e.policy.Memory.Factor
	if e.Expected == nil || factor <= 0 || e.Expected.PeakMemoryBytes.P95 <= 0 {
		return
	}
	if e.exceeded("factor", job.Warning) {
		factor = 1 + (factor-1)*0.8
	}
	usual := e.Expected.PeakMemoryBytes.P95
	if float64(used) > usual*factor && float64(used) > usual+minAboveUsual {
		o.fires, o.health = true, job.Warning
		o.inputs[thresholdInput] = "factor"
		o.sentence = fmt.Sprintf("Memory is more than %.3g times what is usual.%s", e.policy.Memory.Factor, usualPeakText(e))
	}
}

// usualPeakText returns a sentence about the peak memory of the good runs; empty if there are none.
func usualPeakText(e evidence) string {
	if e.Expected == nil || e.Expected.PeakMemoryBytes.P95 <= 0 {
		return ""
	}
	return fmt.Sprintf(" Of its last %d good runs 95 %% stayed below %s.", e.Expected.Runs, job.Bytes(int64(e.Expected.PeakMemoryBytes.P95)))
}

// forecast returns in what time memory reaches its limit with the present slope, in bytes per second. sure
// is false if memory does not grow steadily.
func (e evidence) forecast(limit int64, percent float64) (left time.Duration, slope float64, sure bool) {
	within := e.policy.Memory.Within.D()
	if limit <= 0 || within <= 0 || percent < minForecastPercent || percent >= 100 {
		return 0, 0, false
	}
	points := since(e.Memory, e.At.Add(-max(within, 2*minSlopeInterval)))
	slope, r2 := FitLine(points)
	if len(points) < minPoints || slope <= 0 || r2 < minRSquared ||
		points[len(points)-1].At.Sub(points[0].At) < minSlopeInterval {
		return 0, 0, false
	}
	if late, _ := FitLine(points[len(points)/2:]); late < slope/2 {
		return 0, 0, false // it grows more slowly now
	}
	return Seconds(float64(limit-e.Beat.MemoryBytes) / slope), slope, true
}

// since returns the points at a time or later.
func since(points []lease.MemoryPoint, from time.Time) []lease.MemoryPoint {
	for i, p := range points {
		if !p.At.Before(from) {
			return points[i:]
		}
	}
	return nil
}

// FitLine fits a straight line to points. It returns the slope in bytes per second, and the coefficient of
// determination, from 0 to 1.
func FitLine(points []lease.MemoryPoint) (slope, r2 float64) {
	n := float64(len(points))
	if n < 2 {
		return 0, 0
	}
	var sx, sy, sxx, sxy, syy float64
	for _, p := range points {
		x, y := p.At.Sub(points[0].At).Seconds(), float64(p.Bytes-points[0].Bytes)
		sx, sy, sxx, sxy, syy = sx+x, sy+y, sxx+x*x, sxy+x*y, syy+y*y
	}
	dx, dy := n*sxx-sx*sx, n*syy-sy*sy
	if dx <= 0 || dy <= 0 {
		return 0, 0
	}
	cov := n*sxy - sx*sy
	return cov / dx, cov * cov / (dx * dy)
}
