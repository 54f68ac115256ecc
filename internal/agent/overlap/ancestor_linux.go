package overlap

import (
	"os"

	"stint.dev/stint/internal/agent/process/procfs"
)

// isAncestor reports whether a process, with the time of its start, is one of those above this one.
// The number alone would be that of any process in another PID namespace.
func isAncestor(pid int, startedTicks uint64) bool {
	seen := map[int]bool{}
	for above := os.Getpid(); above > 0 && !seen[above]; {
		seen[above] = true
		var s procfs.Stat
		if procfs.ReadStat(above, &s) != nil {
			return false
		}
		if above == pid && s.StartedTicks == startedTicks {
			return above != os.Getpid()
		}
		above = s.PPID
	}
	return false
}
