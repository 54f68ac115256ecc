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

// A process below a hidden one is one of others after some scans, and is not read in each of those that
// follow, until one of the group's turns out to be hidden; what descends from a hidden process of the group
// is the group's.
func TestBelowHiddenProcesses(t *testing.T) {
	mine := func(*procfs.Stat) bool { return true }
	hidden := &node{pid: 1<<22 + 7, fd: -1, stat: procfs.Stat{PID: 1<<22 + 7, Hidden: true}}
	child := &node{pid: 1<<22 + 8, fd: -1, stat: procfs.Stat{PID: 1<<22 + 8, PPID: 1<<22 + 7}}
	scan := tree{known: map[int]*node{hidden.pid: hidden, child.pid: child}}
	judge := func() {
		for _, n := range scan.known {
			scan.follow(mine, n, os.Getpid(), len(scan.known))
		}
	}
	for range scansToResolve {
		judge()
		if hidden.verdict != unknown || child.verdict != unknown {
			t.Fatalf("the verdicts are %d and %d", hidden.verdict, child.verdict)
		}
		scan.countUnresolved()
	}
	if hidden.verdict != outside || child.verdict != outside {
		t.Fatalf("after %d scans the verdicts are %d and %d", scansToResolve, hidden.verdict, child.verdict)
	}
	scan.claim(&hidden.stat)
	judge()
	if hidden.verdict != ours || child.verdict != ours || len(scan.ours) != 1 {
		t.Errorf("the verdicts are %d and %d, and %d processes were claimed", hidden.verdict, child.verdict, len(scan.ours))
	}
}
