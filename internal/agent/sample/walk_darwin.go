package sample

import (
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/job"
)

// cgroup does not exist on macOS.
type cgroup struct{}

func openCgroup(Source) *cgroup                              { return nil }
func (c *cgroup) read(*job.Sample, process.Usage) (k filled) { return k }
func (c *cgroup) close()                                     {}

// walk counts the processes. What a living process uses cannot be read without cgo;
// CPU time is that of processes that have ended.
type walk struct{ processes int }

func (w *walk) reset() { w.processes = 0 }

func (w *walk) add(s *procfs.Stat) {
	if !s.Dead() {
		w.processes++
	}
}

func (w *walk) finish(ended process.Usage, s *job.Sample, _ filled) {
	s.CPUSeconds, s.Processes = ended.CPUSeconds, w.processes
	s.ReadBytes, s.WriteBytes = ended.ReadBytes, ended.WriteBytes
}

func (w *walk) close() {}
