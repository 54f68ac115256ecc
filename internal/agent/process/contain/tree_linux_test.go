package contain

import (
	"os"
	"testing"

	"stint.dev/stint/internal/agent/process/procfs"
)

// A process whose parent ended during the scan is judged again, when the kernel has given it to the
// agent; it is not taken for a stranger.
func TestChildOfAParentThatEnded(t *testing.T) {
	child := &node{pid: 8, fd: -1, stat: procfs.Stat{PID: 8, PPID: 7}}
	scan := tree{known: map[int]*node{7: {pid: 7, fd: -1, verdict: ended}, 8: child}}
	mine := func(*procfs.Stat) bool { return true }
	if got := scan.follow(mine, child, os.Getpid(), len(scan.known)); got != unknown {
		t.Errorf("below a parent that ended it is judged %d", got)
	}
	child.stat.PPID = os.Getpid()
	if got := scan.follow(mine, child, os.Getpid(), len(scan.known)); got != ours {
		t.Errorf("as an orphan it is judged %d", got)
	}
}
