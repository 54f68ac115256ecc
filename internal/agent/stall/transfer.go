package stall

import "stint.dev/stint/internal/agent/process/member"

// TransferCounter adds up what the processes of an attempt read and write, as far as the system
// lets us see it. Only growth of a process that the check before has seen counts: a script that
// polls starts a new process each time, and that one reads its libraries.
type TransferCounter struct {
	known map[key]int64
	total int64
}

type key struct {
	pid     int
	started uint64
}

// maxProcesses bounds one check.
const maxProcesses = 1024

// Add reads what the living processes have moved, and returns the total so far.
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
