// Package measure samples the job's processes and GPUs and the free disk space, and keeps the
// figures for heartbeats and the outcome.
package measure

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/sample"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// firstSample is when the first sample is taken, so that a short job has one too.
	firstSample = 250 * time.Millisecond
	// gpuStopLimit bounds the wait for the search for nvidia-smi: a directory of the PATH may
	// not answer.
	gpuStopLimit = time.Second
)

// Recorder writes samples and notes.
type Recorder interface {
	Record(t journal.Type, at time.Time, v any) error
	Note(step int, text string)
}

// Config says what is measured, and how often.
type Config struct {
	Source sample.Source
	Period time.Duration
	// Dir and Env are the job's, for the search for nvidia-smi.
	Dir string
	Env []string
	// BeforeFirst is called before the first sample; may be nil.
	BeforeFirst func()
}

// Meter samples the process tree and keeps what heartbeats and the outcome say of it. It is
// safe for concurrent use.
type Meter struct {
	rec  Recorder
	gpus gpus

	cancel context.CancelFunc // nil before Start
	done   sync.WaitGroup     // of the samples
	// gpusDone is apart: a directory that does not answer may hold that goroutine.
	gpusDone sync.WaitGroup

	mu      sync.Mutex
	reader  *sample.Reader // nil before the first step, and after the last
	period  time.Duration
	timer   *time.Timer // for the next sample; set with reader
	due     time.Time   // when that is due
	stopped bool        // only the last sample is still to come
	last    job.Sample
	peak    int64   // in use
	cached  int64   // the kernel's own peak, with the cache of files
	exitCPU float64 // of the steps that ended, as their wait returned
	failed  bool
}

// New makes a meter that writes to a recorder.
func New(rec Recorder) *Meter {
	return &Meter{rec: rec, gpus: gpus{note: func(text string) { rec.Note(-1, text) }}}
}

// Start begins to take samples, until Stop. It opens a dozen files, for which no job should
// wait.
func (m *Meter) Start(ctx context.Context, c Config) {
	m.open(c)
	ctx, m.cancel = context.WithCancel(ctx)
	m.done.Go(func() { m.takeSamples(ctx, c.BeforeFirst) })
	m.gpusDone.Go(func() { m.gpus.watch(ctx, c.Dir, c.Env, max(gpuInterval, c.Period)) })
}

// Stop ends the samples; the last one is taken by Sample.
func (m *Meter) Stop() {
	if m.cancel != nil {
		m.cancel()
		m.done.Wait()
		bounded.Do(gpuStopLimit, m.gpusDone.Wait)
	}
}

func (m *Meter) open(c Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := min(firstSample, c.Period)
	m.reader, m.period = sample.New(c.Source), c.Period
	m.timer, m.due = time.NewTimer(first), time.Now().Add(first)
}

// A heartbeat takes the sample that is due soon, and when one has done so, the timer leaves
// it some time to do so again: most of what an agent costs is waking up, and this way it
// wakes once for both.
func (m *Meter) early() time.Duration { return m.period / 3 }
func (m *Meter) slack() time.Duration { return min(m.period/8, time.Second) }

// takeSamples takes samples until ctx ends. first, which may be nil, is called before the first.
func (m *Meter) takeSamples(ctx context.Context, first func()) {
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
func (m *Meter) next(wait time.Duration) {
	m.due = time.Now().Add(m.period)
	m.timer.Reset(m.period + wait)
}

// stop ends samples at their times; heartbeats take none any more either.
func (m *Meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Stop()
	m.stopped = true
}

// Sample takes a sample now and records it.
func (m *Meter) Sample() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take()
}

// take takes a sample and records it; the caller holds mu. What cannot be measured is noted
// once.
func (m *Meter) take() {
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
	_ = m.rec.Record(journal.TypeSample, s.At, s) // it may find no room
}

// StepEnded adds what the end of a step's process has shown.
func (m *Meter) StepEnded(e process.Exit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exitCPU += e.CPUSeconds
	if e.MaxRSSBytes > ownPeak() {
		m.peak = max(m.peak, e.MaxRSSBytes)
	}
}

// ownPeak returns this process's own largest size. A child begins as a copy of us and the
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

// Heartbeat returns the figures of a heartbeat, and takes the sample that is due soon.
func (m *Meter) Heartbeat(now time.Time) job.Heartbeat {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reader != nil && !m.stopped && !now.Add(m.early()).Before(m.due) {
		m.take()
		m.next(m.slack())
	}
	return job.Heartbeat{
		CPUSeconds: max(m.last.CPUSeconds, m.exitCPU), MemoryBytes: m.last.MemoryBytes, Processes: m.last.Processes,
		ReadBytes: m.last.ReadBytes, WrittenBytes: m.last.WriteBytes,
		MemoryLimitBytes: m.last.LimitBytes, Pressure: m.last.Pressure,
	}
}

// Close closes the files of the samples.
func (m *Meter) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reader != nil {
		m.reader.Close()
		m.reader = nil
	}
}

// Usage returns the figures of the outcome.
func (m *Meter) Usage() job.Usage {
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
