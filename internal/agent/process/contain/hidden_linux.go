package contain

import (
	"os"

	"stint.dev/stint/internal/agent/process/procfs"
)

// Where /proc hides processes (hidepid), it shows a process of the group to this user only if the
// user may trace it: not one whose program is setuid, or that protects its memory, as an agent
// inside of the job does. The files of such a process cannot be read; with hidepid=2 not even its
// directory is listed. It is found as a child of this process, or of one that is found.

// scansToResolve is how many scans a process has no verdict because an ancestor is hidden, before it
// is taken for one of others. Until then, the ancestor may be found in the group.
const scansToResolve = 3

// claim makes a process one of the group's.
func (t *tree) claim(s *procfs.Stat) {
	n := t.known[s.PID]
	if n == nil {
		n = &node{pid: s.PID, generation: t.generation, fd: -1}
		t.known[s.PID] = n
	}
	switch n.verdict {
	case ours:
		return
	case outside:
		t.reconsider()
	}
	n.verdict, n.stat = ours, *s
	t.ours = append(t.ours, n)
}

// reconsider revokes the verdict on processes of others: an ancestor of some of them may have
// turned out to be one of the group's.
func (t *tree) reconsider() {
	for _, n := range t.known {
		if n.verdict == outside && n.pid != os.Getpid() {
			n.verdict, n.unresolved = unknown, 0
		}
	}
}

// judgeHidden adds to the group the children of its processes, hidden ones too, and what descends
// from these.
func (t *tree) judgeHidden(belongs func(s *procfs.Stat) bool) {
	for i := 0; i < len(t.ours); {
		for ; i < len(t.ours); i++ {
			t.claimChildren(t.ours[i].pid)
		}
		t.judge(belongs) // of those below a hidden process that was found now
	}
	t.countUnresolved()
}

// countUnresolved gives a verdict to processes that have had none for several scans.
func (t *tree) countUnresolved() {
	for _, n := range t.known {
		if n.verdict != unknown {
			continue
		}
		if n.unresolved++; n.unresolved >= scansToResolve {
			n.verdict = outside
		}
	}
}

// claimChildren makes the children of a process of the group the group's.
func (t *tree) claimChildren(pid int) {
	for _, child := range procfs.Children(pid) {
		var s procfs.Stat
		if n := t.known[child]; (n == nil || n.verdict != ours) && procfs.ReadStat(child, &s) == nil {
			t.claim(&s)
		}
	}
}
