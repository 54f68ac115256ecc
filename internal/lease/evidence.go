package lease

import (
	"math"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// Evidence summarizes the heartbeats of an attempt, so that its health can be judged without other data. Its times are by the
// server's clock.
type Evidence struct {
	// BegunAt is when the attempt began: when the server first received something of it, less the age that
	// the agent reported.
	BegunAt time.Time    `json:"begun,omitzero"`
	Limits  index.Limits `json:"limits,omitzero"`
	// Expected is what was usual for the job when the attempt began.
	Expected *job.Expected `json:"expected,omitempty"`

	// At is when the last heartbeat arrived, and Beat what it reported; zero before the first.
	At   time.Time     `json:"at,omitzero"`
	Beat job.Heartbeat `json:"beat,omitzero"`
	// MovedAt is when the job last made visible progress; the next fields are what it had used then. Time without
	// heartbeats is not counted.
	MovedAt  time.Time `json:"moved,omitzero"`
	MovedCPU float64   `json:"moved_cpu,omitempty"`
	MovedIO  int64     `json:"moved_io,omitempty"`
	Status   string    `json:"status,omitempty"` // the status that the job had set then
	// ResumedAt is when job and agent last went on after both were stopped; zero if never.
	ResumedAt time.Time `json:"resumed,omitzero"`
	// UnsentSince is the time since which every heartbeat has reported at least Backlog unsent bytes.
	UnsentSince time.Time `json:"unsent,omitzero"`
	// Recent are the last heartbeats, the newest last.
	Recent []Recent `json:"recent,omitempty"`
	// Memory are points of memory use in the last half hour; newer ones are closer together.
	Memory []MemoryPoint `json:"memory,omitempty"`
}

// Recent is what is kept of one of the last heartbeats.
type Recent struct {
	SkewMS  int64 `json:"s"` // the agent's clock less the server's; the network's delay makes it smaller
	DelayMS int64 `json:"d"` // how late the agent's timer fired
	CPUMS   int64 `json:"c"` // CPU time of the job so far
}

// MemoryPoint is the memory that was used at a time.
type MemoryPoint struct {
	At    time.Time `json:"at"`
	Bytes int64     `json:"b"`
}

// StoredEvidence is the evidence about an attempt, to be stored.
type StoredEvidence struct {
	Run      string
	Attempt  int
	Evidence Evidence
}

// Backlog is the number of unsent bytes that a job which prints normally does not reach.
const Backlog = 1 << 20

// Limits of the evidence, and of what counts as no progress: a process that only waits still uses some CPU time.
const (
	maxRecent    = 5
	maxPoints    = 16
	memoryWindow = 30 * time.Minute
	idleCores    = 0.01
	idleCPU      = 15 * time.Millisecond
	idleIO       = 64 << 10
	// maxFigureLimit limits a period or an age that an agent reports.
	maxFigureLimit = 10 * 365 * 24 * time.Hour
	// minBreakAfter is the shortest pause between heartbeats that counts as a break.
	minBreakAfter = 5 * time.Second
)

// BeginEvidence returns the evidence of an attempt of which the server receives something for the first time.
func BeginEvidence(limits index.Limits, expected *job.Expected, now time.Time) Evidence {
	return Evidence{BegunAt: now, MovedAt: now, Expected: expected, Limits: limits}
}

// Observe returns the evidence after one more heartbeat. status is the one that the job set last.
func (e Evidence) Observe(hb job.Heartbeat, at time.Time, status string) Evidence {
	if hb.Sequence == 0 && hb.UptimeMS == 0 {
		return e // a sign of life without figures
	}
	if hb.UptimeMS > 0 {
		e.BegunAt = at.Add(-job.Milliseconds(hb.UptimeMS, 0, maxFigureLimit))
	}
	if e.Beat.Suspended && !hb.Suspended {
		e.ResumedAt = at
	}
	e = e.moved(hb, at, index.Truncate(status, 200))
	switch {
	case hb.UnsentBytes < Backlog:
		e.UnsentSince = time.Time{}
	case e.UnsentSince.IsZero():
		e.UnsentSince = at
	}
	recent := Recent{SkewMS: hb.SentAt.Sub(at).Milliseconds(), DelayMS: hb.SchedulingDelayMS, CPUMS: int64(hb.CPUSeconds * 1000)}
	if hb.SentAt.IsZero() {
		recent.SkewMS = 0
	}
	e.Recent = append(append([]Recent{}, e.Recent[max(0, len(e.Recent)+1-maxRecent):]...), recent)
	if hb.MemoryBytes > 0 {
		e.Memory = addPoint(e.Memory, MemoryPoint{At: at, Bytes: hb.MemoryBytes})
	}
	e.At, e.Beat = at, hb
	return e
}

// moved updates MovedAt if the job made progress since the last heartbeat. What cannot be measured counts as progress.
func (e Evidence) moved(hb job.Heartbeat, at time.Time, status string) Evidence {
	if e.At.IsZero() || e.MovedAt.IsZero() {
		e.MovedAt, e.MovedCPU, e.MovedIO, e.Status = at, hb.CPUSeconds, hb.ReadBytes+hb.WrittenBytes, status
	}
	pause := max(2*job.Milliseconds(hb.PeriodMS, 0, maxFigureLimit), minBreakAfter)
	if gap := at.Sub(e.At) - pause; e.Beat.Suspended {
		e.MovedAt = at
	} else if !e.At.IsZero() && gap > 0 {
		e.MovedAt = e.MovedAt.Add(gap)
	}
	io := hb.ReadBytes + hb.WrittenBytes
	cpu := hb.CPUSeconds - e.MovedCPU
	unmeasured := hb.Processes == 0 && hb.MemoryBytes == 0
	if unmeasured || status != e.Status || io-e.MovedIO > idleIO || io < e.MovedIO || cpu < 0 ||
		cpu > max(idleCores*at.Sub(e.MovedAt).Seconds(), idleCPU.Seconds()) {
		e.MovedAt, e.MovedCPU, e.MovedIO, e.Status = at, hb.CPUSeconds, io, status
		return e
	}
	if hb.OutputAgeMS >= 0 {
		if printed := at.Add(-job.Milliseconds(hb.OutputAgeMS, 0, maxFigureLimit)); printed.After(e.MovedAt) {
			e.MovedAt, e.MovedCPU, e.MovedIO = printed, hb.CPUSeconds, io
		}
	}
	return e
}

// OutputAt returns when the job last printed; zero if it never did.
func (e Evidence) OutputAt() time.Time {
	if e.At.IsZero() || e.Beat.OutputAgeMS < 0 {
		return time.Time{}
	}
	return e.At.Add(-job.Milliseconds(e.Beat.OutputAgeMS, 0, maxFigureLimit))
}

// addPoint appends a point and drops points that are too old, and the one that is needed least, so that the newest points stay
// closest together.
func addPoint(points []MemoryPoint, p MemoryPoint) []MemoryPoint {
	kept := make([]MemoryPoint, 0, maxPoints+1)
	for _, old := range points {
		if p.At.Sub(old.At) <= memoryWindow && old.At.Before(p.At) {
			kept = append(kept, old)
		}
	}
	kept = append(kept, p)
	if len(kept) <= maxPoints {
		return kept
	}
	least, at := math.Inf(1), 1
	for i := 1; i < len(kept)-1; i++ {
		span := kept[i+1].At.Sub(kept[i-1].At).Seconds()
		if worth := span / max(p.At.Sub(kept[i].At).Seconds(), 1e-3); worth < least {
			least, at = worth, i
		}
	}
	return append(kept[:at], kept[at+1:]...)
}
