package health

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

// What a forecast of memory needs: a time long enough, points enough that lie on a line,
// and a good part of the limit used already, so that the ramp of a start is none.
const (
	fewestPoints  = 5
	shortestSlope = 2 * time.Minute
	straight      = 0.9 // coefficient of determination
	forecastFrom  = 50  // percent of the limit
	// aboveBand is how much more than usual is worth a word.
	aboveBand = 64 << 20
	// hysteresisPercent is how far below its threshold memory must fall to end a finding.
	hysteresisPercent = 5
)

// memory: near the limit, soon there at this slope, or far above what is usual.
func memory(e evidence) opinion {
	p := e.policy.Memory
	used, limit := e.Beat.MemoryBytes, e.Beat.MemoryLimitBytes
	if limit <= 0 {
		limit = e.Limits.MemoryBytes
	}
	o := opinion{inputs: map[string]any{"used_bytes": used, "limit_bytes": limit, "oom_kills": e.Beat.OOMKills}}
	if e.Expected != nil {
		o.inputs["usual_p95_bytes"] = int64(e.Expected.PeakMemoryBytes.P95)
	}
	near, critical := p.Percent, p.Critical
	if e.holds("percent", job.Warning) {
		near -= hysteresisPercent
	}
	if e.holds("percent", job.Critical) {
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
		o.inputs[thresholdFact] = "oom_kills"
		o.sentence = fmt.Sprintf("The kernel has killed processes of the job for lack of memory (%d so far).", e.Beat.OOMKills)
	case limit > 0 && percent >= near:
		o.fires, o.health = true, job.Warning
		o.inputs[thresholdFact] = "percent"
		if percent >= critical {
			o.health = job.Critical
		}
		o.sentence = fmt.Sprintf("Memory is at %.0f %% of its limit of %s.%s", percent, job.Bytes(limit), usualPeak(e))
	case sure:
		o.inputs["slope_bytes_per_second"], o.inputs["seconds_to_limit"] = int64(slope), rounded(left.Seconds())
		within := p.Within.D()
		if e.holds("within", job.Warning) {
			within *= 2
		}
		if left <= within {
			o.fires, o.health = true, job.Warning
			o.inputs[thresholdFact] = "within"
			o.sentence = fmt.Sprintf("Memory grows by %s a minute and reaches its limit of %s in about %s.%s",
				job.Bytes(int64(slope*60)), job.Bytes(limit), coarse(left), usualPeak(e))
		}
	}
	if !o.fires {
		e.aboveUsual(&o, used)
	}
	if o.sentence == "" {
		o.sentence = "Memory is not near its limit."
		if limit <= 0 {
			o.sentence = "Memory has no limit to compare with."
		}
	}
	return o
}

// aboveUsual compares with the band of the good runs.
func (e evidence) aboveUsual(o *opinion, used int64) {
	factor := e.policy.Memory.Factor
	if e.Expected == nil || factor <= 0 || e.Expected.PeakMemoryBytes.P95 <= 0 {
		return
	}
	if e.holds("factor", job.Warning) {
		factor = 1 + (factor-1)*0.8
	}
	usual := e.Expected.PeakMemoryBytes.P95
	if float64(used) > usual*factor && float64(used) > usual+aboveBand {
		o.fires, o.health = true, job.Warning
		o.inputs[thresholdFact] = "factor"
		o.sentence = fmt.Sprintf("Memory is more than %.3g times what is usual.%s", e.policy.Memory.Factor, usualPeak(e))
	}
}

func usualPeak(e evidence) string {
	if e.Expected == nil || e.Expected.PeakMemoryBytes.P95 <= 0 {
		return ""
	}
	return fmt.Sprintf(" Of its last %d good runs 95 %% stayed below %s.", e.Expected.Runs, job.Bytes(int64(e.Expected.PeakMemoryBytes.P95)))
}

// forecast is when memory reaches its limit at the present slope, in bytes per second; not
// sure when there is no straight way there.
func (e evidence) forecast(limit int64, percent float64) (left time.Duration, slope float64, sure bool) {
	within := e.policy.Memory.Within.D()
	if limit <= 0 || within <= 0 || percent < forecastFrom || percent >= 100 {
		return 0, 0, false
	}
	points := since(e.Memory, e.At.Add(-max(within, 2*shortestSlope)))
	slope, r2 := line(points)
	if len(points) < fewestPoints || slope <= 0 || r2 < straight ||
		points[len(points)-1].At.Sub(points[0].At) < shortestSlope {
		return 0, 0, false
	}
	if late, _ := line(points[len(points)/2:]); late < slope/2 {
		return 0, 0, false // it has levelled off
	}
	return seconds(float64(limit-e.Beat.MemoryBytes) / slope), slope, true
}

func since(points []lease.MemoryPoint, from time.Time) []lease.MemoryPoint {
	for i, p := range points {
		if !p.At.Before(from) {
			return points[i:]
		}
	}
	return nil
}

// line fits a straight line: its slope in bytes per second, and how well it fits, 0 to 1.
func line(points []lease.MemoryPoint) (slope, r2 float64) {
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
