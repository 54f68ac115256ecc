//go:build linux || darwin

package sample

import (
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// Source is what a Reader reads of a process.Group.
type Source interface {
	// CgroupDir is the attempt's own directory in a hierarchy: "cgroup2", or the name of a
	// v1 controller. Empty where there is none.
	CgroupDir(hierarchy string) string
	// Scan calls f for each process of the attempt; f must not keep s.
	Scan(f func(s *procfs.Stat)) error
	// EndedUsage is what processes used that have ended and were waited for.
	EndedUsage() process.Usage
}

// Reader takes samples of one attempt. It is not for concurrent use.
type Reader struct {
	source  Source
	cgroup  *cgroup // nil where no cgroup accounts for the attempt
	walk    walk
	last    job.Sample
	started bool
}

// New prepares to sample s. The cgroup's files stay open until Close.
func New(s Source) *Reader {
	return &Reader{source: s, cgroup: openCgroup(s)}
}

// Sample measures now. What only grows (CPU seconds, bytes, peak) never falls from one
// sample to the next, even when it is not known what a process used that has ended.
func (r *Reader) Sample(now time.Time) (job.Sample, error) {
	s := job.Sample{At: now.UTC()}
	if err := r.measure(&s); err != nil {
		return r.last, err
	}
	s.CPUSeconds = max(s.CPUSeconds, r.last.CPUSeconds)
	s.ReadBytes = max(s.ReadBytes, r.last.ReadBytes)
	s.WriteBytes = max(s.WriteBytes, r.last.WriteBytes)
	s.PeakBytes = max(s.PeakBytes, r.last.PeakBytes)
	if elapsed := now.Sub(r.last.At).Seconds(); r.started && elapsed > 0 {
		s.CPUCores = (s.CPUSeconds - r.last.CPUSeconds) / elapsed
	}
	r.started, r.last = true, s
	return s, nil
}

// measure reads what the cgroup accounts for, and walks the processes for the rest.
func (r *Reader) measure(s *job.Sample) error {
	ended := r.source.EndedUsage()
	filled := r.cgroup.read(s, ended)
	if filled.all() {
		return nil
	}
	r.walk.reset()
	if err := r.source.Scan(r.walk.add); err != nil {
		return err
	}
	r.walk.finish(ended, s, filled)
	return nil
}

// Close closes the files.
func (r *Reader) Close() {
	r.cgroup.close()
	r.walk.close()
}

// filled reports which parts of a sample are filled in.
type filled struct{ cpu, memory, count, io bool }

func (k filled) all() bool { return k.cpu && k.memory && k.count && k.io }
