//go:build linux || darwin

// Package children makes the children of this process, and adopts those that its children leave
// behind: it collects the exit status of orphans, and never that of a child for which another
// goroutine waits.
package children

import (
	"os"
	"sync"
	"syscall"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
)

// Group is a group of processes: those that were started for it, and their descendants.
type Group interface {
	// HasSession reports whether a process that was started for the group began a session. The
	// number of a session is the PID of its first process.
	HasSession(id int) bool
	Marks() member.Marks
	// AddUsage adds what an orphan of the group used that has ended.
	AddUsage(u *syscall.Rusage)
	// Reaped is called after each regular search for orphans that have ended.
	Reaped()
}

// all is what this process knows of its children. It is one per process because a process's
// children are: while any group lives, orphans of the job are adopted (the process is their
// "subreaper") and their exit status must be collected.
var all = registry{groups: map[Group]struct{}{}, own: map[int]struct{}{}}

type registry struct {
	mu     sync.Mutex
	groups map[Group]struct{}
	own    map[int]struct{} // children made here; each has a waiter of its own
	adoption
}

// Join adopts orphans of a group until Leave. The error says why the system gives them to its
// init instead.
func Join(g Group) error {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.groups[g] = struct{}{}
	if len(all.groups) > 1 {
		return nil
	}
	return all.adopt()
}

// Leave ends what Join began. With the last group the search for orphans ends; those that were
// adopted stay.
func Leave(g Group) {
	all.mu.Lock()
	delete(all.groups, g)
	wait := func() {}
	if len(all.groups) == 0 {
		wait = all.endAdoption()
	}
	all.mu.Unlock()
	wait()
}

// Start makes a child that has a waiter of its own, who calls Forget when it has waited. The
// registry is locked meanwhile: the reaper must not meet a dead child that it does not know yet.
func Start(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	p, err := os.StartProcess(path, args, attr)
	if err == nil {
		all.own[p.Pid] = struct{}{}
	}
	return p, err
}

// Forget says that a child from Start was waited for.
func Forget(pid int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.own, pid)
}

// Reap collects every dead orphan that can be seen and returns how many it was.
func Reap() int { return all.reap() }

// Adopted calls f for each orphan of g that this process has adopted, dead ones included. It
// returns false where they are not listed.
func Adopted(g Group, f func(s *procfs.Stat)) (listed bool) { return all.adopted(g, f) }
