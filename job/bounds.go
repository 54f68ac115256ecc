package job

import (
	"math"
	"time"
)

// The largest figures that a heartbeat, a sample or a record is believed. They are far above
// what any host has, and far enough below what the types hold that sums, differences and
// percentages of them stay finite and fit into JSON.
const (
	MaxBytes     = int64(1) << 53 // the largest integer that every reader of JSON keeps exact
	maxCount     = int64(1) << 31
	maxSeconds   = 1e12
	maxCores     = 1e6
	maxShare     = 100 // percent
	maxFigureAge = 10 * 365 * 24 * time.Hour
)

// BoundBytes returns a count of bytes, or of lines, between 0 and MaxBytes.
func BoundBytes(n int64) int64 { return min(max(n, 0), MaxBytes) }

// AddBytes adds two counts of bytes, or of lines, and bounds the sum.
func AddBytes(a, b int64) int64 { return BoundBytes(BoundBytes(a) + BoundBytes(b)) }

func boundCount[N int | int64](n N) N { return N(min(max(int64(n), 0), maxCount)) }

// boundInt bounds a number that may be negative, as an exit code may.
func boundInt(n int) int { return int(min(max(int64(n), -maxCount), maxCount)) }

func boundMilliseconds(ms int64) int64 { return min(max(ms, 0), maxFigureAge.Milliseconds()) }

// boundFloat returns v between 0 and most; 0 for what is not a number.
func boundFloat(v, most float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), most)
}

// boundTime returns t in UTC; the zero time for one that no clock of a host shows.
func boundTime(t time.Time) time.Time {
	const first, last = 0, 1 << 33 // seconds since 1970: until the year 2242
	if s := t.Unix(); s < first || s > last {
		return time.Time{}
	}
	return t.UTC()
}

// Bounded returns the heartbeat with every figure in the range that a host can have.
func (h Heartbeat) Bounded() Heartbeat {
	h.Sequence = max(h.Sequence, 0)
	h.SentAt = boundTime(h.SentAt)
	h.UptimeMS = boundMilliseconds(h.UptimeMS)
	h.SchedulingDelayMS = boundMilliseconds(h.SchedulingDelayMS)
	if h.OutputAgeMS < 0 {
		h.OutputAgeMS = -1
	}
	h.OutputAgeMS = min(h.OutputAgeMS, maxFigureAge.Milliseconds())
	h.CPUSeconds = boundFloat(h.CPUSeconds, maxSeconds)
	h.MemoryBytes = BoundBytes(h.MemoryBytes)
	h.Processes = boundCount(h.Processes)
	h.UnsentBytes = BoundBytes(h.UnsentBytes)
	h.ReadBytes = BoundBytes(h.ReadBytes)
	h.WrittenBytes = BoundBytes(h.WrittenBytes)
	h.MemoryLimitBytes = BoundBytes(h.MemoryLimitBytes)
	h.OOMKills = boundCount(h.OOMKills)
	if h.DiskFreeBytes != nil {
		free := BoundBytes(*h.DiskFreeBytes)
		h.DiskFreeBytes = &free
	}
	h.Pressure = h.Pressure.bounded()
	h.WaitingMS = boundMilliseconds(h.WaitingMS)
	h.PeriodMS = boundMilliseconds(h.PeriodMS)
	return h
}

func (p *Pressure) bounded() *Pressure {
	if p == nil {
		return nil
	}
	return &Pressure{CPU: boundFloat(p.CPU, maxShare), Memory: boundFloat(p.Memory, maxShare), IO: boundFloat(p.IO, maxShare)}
}

// Bounded returns the sample with every figure in the range that a host can have. At is zero
// where no clock of a host shows it.
func (s Sample) Bounded() Sample {
	s.At = boundTime(s.At)
	s.CPUSeconds = boundFloat(s.CPUSeconds, maxSeconds)
	s.CPUCores = boundFloat(s.CPUCores, maxCores)
	s.MemoryBytes = BoundBytes(s.MemoryBytes)
	s.CacheBytes = BoundBytes(s.CacheBytes)
	s.PeakBytes = BoundBytes(s.PeakBytes)
	s.LimitBytes = BoundBytes(s.LimitBytes)
	s.Processes = boundCount(s.Processes)
	s.Threads = boundCount(s.Threads)
	s.ReadBytes = BoundBytes(s.ReadBytes)
	s.WriteBytes = BoundBytes(s.WriteBytes)
	s.Pressure = s.Pressure.bounded()
	gpus := make([]GPU, len(s.GPUs))
	for i, g := range s.GPUs {
		gpus[i] = g.bounded()
	}
	if len(gpus) == 0 {
		gpus = nil
	}
	s.GPUs = gpus
	return s
}

func (g GPU) bounded() GPU {
	g.Index = boundCount(g.Index)
	if g.UtilizationPercent != nil {
		used := boundFloat(*g.UtilizationPercent, maxShare)
		g.UtilizationPercent = &used
	}
	g.MemoryBytes, g.MemoryTotalBytes = BoundBytes(g.MemoryBytes), BoundBytes(g.MemoryTotalBytes)
	return g
}

// Bounded returns the totals with every figure in the range that a host can have.
func (u Usage) Bounded() Usage {
	u.CPUSeconds = boundFloat(u.CPUSeconds, maxSeconds)
	u.MemoryBytes = BoundBytes(u.MemoryBytes)
	u.PeakMemoryBytes = BoundBytes(u.PeakMemoryBytes)
	u.PeakMemoryWithCacheBytes = BoundBytes(u.PeakMemoryWithCacheBytes)
	u.Processes = boundCount(u.Processes)
	u.ReadBytes, u.WrittenBytes = BoundBytes(u.ReadBytes), BoundBytes(u.WrittenBytes)
	return u
}

// MaxRetryPause is the longest time that an agent may wait before it begins another attempt.
const MaxRetryPause = 30 * 24 * time.Hour

// Bounded returns the outcome of an attempt that ended at a time of its own clock, with
// every figure in its range and RetryAt at most MaxRetryPause after that.
func (o Outcome) Bounded(ended time.Time) Outcome {
	if o.ExitCode != nil {
		code := boundInt(*o.ExitCode)
		o.ExitCode = &code
	}
	o.SignalNumber = boundInt(o.SignalNumber)
	if o.OOM != nil {
		oom := *o.OOM
		oom.LimitBytes, oom.PeakBytes = BoundBytes(oom.LimitBytes), BoundBytes(oom.PeakBytes)
		oom.Kills, oom.VictimPID, oom.At = boundCount(oom.Kills), boundInt(oom.VictimPID), boundTime(oom.At)
		o.OOM = &oom
	}
	if o.RetryAt != nil {
		at := o.RetryAt.UTC()
		if latest := ended.Add(MaxRetryPause); at.After(latest) {
			at = latest
		}
		if at.Before(ended) {
			at = ended
		}
		o.RetryAt = &at
	}
	return o
}

// Bounded returns the gap with every figure in the range that a journal can have.
func (g Gap) Bounded() Gap {
	g.AtBytes, g.Bytes, g.Lines = BoundBytes(g.AtBytes), BoundBytes(g.Bytes), BoundBytes(g.Lines)
	g.At = boundTime(g.At)
	return g
}
