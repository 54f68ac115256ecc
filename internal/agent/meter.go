package agent

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/sample"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// firstSample is when the first sample is taken, so that a short job has one too.
const firstSample = 250 * time.Millisecond

// meter samples the process tree and remembers what the heartbeat and the outcome tell.
type meter struct {
	rec  *record.Recorder
	gpus gpus // safe for all

	mu      sync.Mutex
	reader  *sample.Reader // nil before the first step, and after the last
	period  time.Duration
	timer   *time.Timer // for the next sample; set with reader
	due     time.Time   // when that is due
	over    bool        // only the last sample is still to come
	last    job.Sample
	peak    int64   // in use
	cached  int64   // the kernel's own peak, with the cache of files
	exitCPU float64 // of the steps that ended, as their wait told
	failed  bool
}

func newMeter(rec *record.Recorder) *meter {
	return &meter{rec: rec, gpus: gpus{tell: func(text string) { rec.Note(-1, text) }}}
}

// open prepares to sample a group. It opens a dozen files, for which no job should wait.
func (m *meter) open(g *process.Group, period time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := min(firstSample, period)
	m.reader, m.period = sample.New(g), period
	m.timer, m.due = time.NewTimer(first), time.Now().Add(first)
}

// A heartbeat takes the sample that is due soon, and when one has done so, the timer leaves
// it some time to do so again: most of what an agent costs is waking up, and this way it
// wakes once for both.
func (m *meter) early() time.Duration { return m.period / 3 }
func (m *meter) slack() time.Duration { return min(m.period/8, time.Second) }

// samples takes samples until ctx ends. first is called before the first one.
func (m *meter) samples(ctx context.Context, first func()) {
	defer m.stop()
	for {
		select {
		case <-m.timer.C:
			if first != nil {
				first()
				first = nil
			}
			m.mu.Lock()
			m.take()
			m.next(0)
			m.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// next sets the time of the next sample, and how long after it the timer waits for a
// heartbeat. The caller holds mu.
func (m *meter) next(wait time.Duration) {
	m.due = time.Now().Add(m.period)
	m.timer.Reset(m.period + wait)
}

// stop ends samples at their times; heartbeats take none any more either.
func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Stop()
	m.over = true
}

// sample takes one now and records it.
func (m *meter) sample() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take()
}

// take takes a sample and records it; the caller holds mu. What cannot be measured is said
// once.
func (m *meter) take() {
	if m.reader == nil {
		return // nothing was started
	}
	s, err := m.reader.Sample(time.Now())
	if err != nil {
		if !m.failed {
			m.failed = true
			m.rec.Note(-1, "CPU and memory cannot be measured: "+err.Error())
		}
		return
	}
	m.last = s
	s.GPUs = m.gpus.take()
	m.peak, m.cached = max(m.peak, s.MemoryBytes), s.PeakBytes
	_ = m.rec.Record(journal.TypeSample, s.At, s) // no room: see Record
}

// stepEnded adds what the end of a step's process told.
func (m *meter) stepEnded(e process.Exit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exitCPU += e.CPUSeconds
	if e.MaxRSSBytes > ownPeak() {
		m.peak = max(m.peak, e.MaxRSSBytes)
	}
}

// ownPeak is this process's own largest size. A child begins as a copy of us and the
// kernel counts that: a maximum that is not above ours says nothing about the job.
func ownPeak() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss // bytes there, KiB elsewhere
	}
	return u.Maxrss << 10
}

// evidence is what a heartbeat says of the job.
func (m *meter) evidence(now time.Time) job.Heartbeat {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reader != nil && !m.over && !now.Add(m.early()).Before(m.due) {
		m.take()
		m.next(m.slack())
	}
	hb := job.Heartbeat{
		CPUSeconds: max(m.last.CPUSeconds, m.exitCPU), MemoryBytes: m.last.MemoryBytes,
		Processes: m.last.Processes, OutputAgeMS: -1, UnsentBytes: m.rec.Journal().Waiting(),
	}
	if last := m.rec.OutputAt(); !last.IsZero() {
		hb.OutputAgeMS = max(0, now.Sub(last).Milliseconds())
	}
	return hb
}

// close gives back what the reader holds.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reader != nil {
		m.reader.Close()
		m.reader = nil
	}
}

// totals are the final ones.
func (m *meter) totals() job.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := job.Usage{
		CPUSeconds: max(m.last.CPUSeconds, m.exitCPU), PeakMemoryBytes: m.peak,
		Processes: m.last.Processes, ReadBytes: m.last.ReadBytes, WrittenBytes: m.last.WriteBytes,
	}
	if m.cached > m.peak {
		u.PeakMemoryWithCacheBytes = m.cached
	}
	return u
}
