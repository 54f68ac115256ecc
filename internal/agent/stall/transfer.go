package stall

import "stint.dev/stint/internal/agent/process/member"

// TransferCounter adds up the bytes that the processes of an attempt read and write. It counts only processes that the check
// before has found: a script that polls starts a new process each time, which reads its libraries.
type TransferCounter struct {
	known map[key]int64
	total int64
}

type key struct {
	pid     int
	started uint64
}

// maxProcesses limits the processes that one check reads.
const maxProcesses = 1024

// Add reads the counters of the running processes, and returns the total bytes so far.
func (m *TransferCounter) Add(members []member.Member) int64 {
	now := make(map[key]int64, min(len(members), maxProcesses))
	for _, p := range members[:min(len(members), maxProcesses)] {
		bytes, ok := transferredBytes(p.PID)
		if !ok {
			continue
		}
		k := key{p.PID, p.StartedTicks}
		if before, known := m.known[k]; known && bytes > before {
			m.total += bytes - before
		}
		now[k] = bytes
	}
	m.known = now
	return m.total
}
