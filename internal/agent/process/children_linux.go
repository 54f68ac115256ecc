package process

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
)

// The reaper looks for dead orphans at a pace that follows their number.
const (
	reapIdle = 4 * time.Second // while there are none; each sample looks too
	reapSlow = time.Second
	reapFast = 10 * time.Millisecond
	reapMany = 32 // so many at one look make the next one come sooner
)

// children is what this process knows of its children. It is one per process because a
// process's children are: while any group lives, orphans of the job are adopted (the
// process is their "subreaper") and their exit status must be collected, without ever
// taking the status of a child that somebody here waits for.
var children = registry{groups: map[*Group]struct{}{}, own: map[int]struct{}{}}

type registry struct {
	mu     sync.Mutex
	groups map[*Group]struct{}
	own    map[int]struct{} // children made here; each has a waiter of its own
	adopts bool             // the kernel gives orphans to this process
	stop   chan struct{}
	done   chan struct{}
}

func (r *registry) join(g *Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups[g] = struct{}{}
	if len(r.groups) > 1 {
		return
	}
	err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	r.adopts = err == nil
	if err != nil {
		g.note("processes that detach themselves go to the system's init, not to the agent: the kernel refuses PR_SET_CHILD_SUBREAPER: %v", err)
	}
	r.stop, r.done = make(chan struct{}), make(chan struct{})
	go r.run(r.stop, r.done)
}

func (r *registry) leave(g *Group) {
	r.mu.Lock()
	delete(r.groups, g)
	last := len(r.groups) == 0
	stop, done := r.stop, r.done
	if last {
		// Nobody asks for adoption from here on; what was adopted stays.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
	r.mu.Unlock()
	if last {
		close(stop)
		<-done
	}
}

// start makes a child that has a waiter of its own. The registry is locked meanwhile: the
// reaper must not meet a dead child that it does not know yet.
func (r *registry) start(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := os.StartProcess(path, args, attr)
	if err == nil {
		r.own[p.Pid] = struct{}{}
	}
	return p, err
}

func (r *registry) forget(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.own, pid)
}

// run reaps orphans until stop is closed. A timer and not SIGCHLD: signals belong to the
// command line, and a look that finds nothing is one system call.
func (r *registry) run(stop, done chan struct{}) {
	defer close(done)
	pause := reapIdle
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		switch n := r.reap(); {
		case n >= reapMany:
			pause = max(pause/8, reapFast)
		case n == 0:
			pause = min(pause*2, reapIdle)
		default:
			pause = min(pause, reapSlow)
		}
		timer.Reset(pause)
	}
}

// reap collects every dead orphan that can be seen and returns how many it was. It looks
// without taking (WNOWAIT) and takes by PID. The kernel shows one dead child at a time: if
// that is a child with a waiter, the look ends, and the next one finds the waiter done.
func (r *registry) reap() (reaped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid := peekDead()
		if pid == 0 {
			return reaped
		}
		if _, waited := r.own[pid]; waited {
			return reaped
		}
		var s procfs.Stat
		if procfs.ReadStat(pid, &s) != nil || s.PGRP == syscall.Getpgrp() {
			// Everything of a group has a session of its own. A child in this process's
			// own process group was made by somebody else here, who will wait for it.
			return reaped
		}
		g := r.adopter(&s)
		var usage syscall.Rusage
		if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, &usage); err != nil || got != pid {
			return reaped
		}
		reaped++
		if g != nil {
			g.addUsage(usageOf(&usage))
		}
	}
}

// peekDead is the PID of a child that has ended and was not waited for, or 0.
func peekDead() int {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err != nil {
		return 0
	}
	// siginfo_t is signo, errno, code, and then a union, aligned as a pointer, that begins
	// with the PID. x/sys names only the first three.
	offset := uintptr(12)
	if unsafe.Sizeof(uintptr(0)) == 8 {
		offset = 16
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), offset)))
}

// adopter is the group to which an adopted child belongs. With one group alive, as in
// every agent, there is no question, unless the agent is the init of a container: then
// others' orphans come to it too, and only the mark tells.
func (r *registry) adopter(s *procfs.Stat) *Group {
	for g := range r.groups {
		g.mu.Lock()
		_, ours := g.sessions[s.Session]
		g.mu.Unlock()
		if ours {
			return g
		}
	}
	if len(r.groups) == 1 && os.Getpid() != 1 {
		for g := range r.groups {
			return g
		}
	}
	environ := readEnviron(s.PID)
	for g := range r.groups {
		if isMarked(environ, marks(g.opts.Run, g.opts.Attempt)) {
			return g
		}
	}
	return nil
}

// adopted calls f for each orphan of g that this process has adopted, dead ones included.
// The kernel gives orphans to the main thread. It returns false on a kernel that does not
// list children (built without CONFIG_PROC_CHILDREN).
func (r *registry) adopted(g *Group, f func(s *procfs.Stat)) (listed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil || !r.adopts {
		return false
	}
	for _, pid := range procfs.PIDs(nil, text) {
		var s procfs.Stat
		if _, made := r.own[pid]; made || procfs.ReadStat(pid, &s) != nil {
			continue
		}
		if s.PGRP != syscall.Getpgrp() && r.adopter(&s) == g {
			f(&s)
		}
	}
	return true
}

func readEnviron(pid int) []byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil // another user's, or gone
	}
	return b
}

func isMarked(environ []byte, marks [2]string) bool {
	return len(environ) > 0 && procfs.HasEnv(environ, marks[0]) && procfs.HasEnv(environ, marks[1])
}
