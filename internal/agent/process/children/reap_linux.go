package children

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
)

// The reaper searches for dead orphans at a pace that follows their number.
const (
	reapIdleInterval = 4 * time.Second // while there are none; each sample searches too
	reapSlowInterval = time.Second
	reapFastInterval = 10 * time.Millisecond
	reapMany         = 32 // so many found at once make the next one come sooner
)

// adoption is the state of adopting orphans: whether the kernel gives them to this process, and
// the goroutine that reaps them.
type adoption struct {
	adopts bool // the kernel gives orphans to this process
	// inherited is true when the process had children before the first group: those of a
	// shell that became this program (exec).
	inherited bool
	zombies   map[int]zombie // see abandoned
	stop      chan struct{}
	done      chan struct{}
}

// zombie is a dead child in this process's own process group.
type zombie struct {
	startedTicks uint64
	seen         time.Time // first
}

// abandonedAfter is how long a dead child in this process's own process group is left to the
// goroutine that made it, before its status is collected here.
const abandonedAfter = 10 * time.Second

// adopt has the kernel give orphans to this process, and begins to search for dead ones. The caller
// holds mu.
func (r *registry) adopt() error {
	err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	before, _ := mainChildren() // where they are not listed, all that come are taken for the job's
	r.adopts, r.inherited = err == nil, len(before) > 0
	r.stop, r.done = make(chan struct{}), make(chan struct{})
	go r.run(r.stop, r.done)
	if err != nil {
		return fmt.Errorf("the kernel refuses PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// endAdoption ends what adopt began; what was adopted stays. The caller holds mu, and calls wait
// without it.
func (r *registry) endAdoption() (wait func()) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) // no group needs it from here on
	stop, done := r.stop, r.done
	return func() {
		close(stop)
		<-done
	}
}

// run reaps orphans until stop is closed. A timer and not SIGCHLD: signals belong to the
// command line, and a search that finds nothing is one system call.
func (r *registry) run(stop, done chan struct{}) {
	defer close(done)
	pause := reapIdleInterval
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
			pause = max(pause/8, reapFastInterval)
		case n == 0:
			pause = min(pause*2, reapIdleInterval)
		default:
			pause = min(pause, reapSlowInterval)
		}
		for _, g := range r.living() {
			g.Reaped()
		}
		timer.Reset(pause)
	}
}

func (r *registry) living() []Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.groups))
}

// reap collects every dead orphan that can be seen and returns how many it was. It reads
// without taking (WNOWAIT) and takes by PID. The kernel shows one dead child at a time: if
// that is a child with a waiter, the search ends, and the next one finds the waiter done.
func (r *registry) reap() (reaped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		pid := peekDead()
		if pid == 0 {
			clear(r.zombies)
			return reaped
		}
		if _, waited := r.own[pid]; waited {
			return reaped
		}
		if !r.take(pid) {
			return reaped + r.takeBehind()
		}
		reaped++
	}
}

// takeBehind collects dead orphans that the kernel does not show, because a dead child that
// stays is in front of them.
func (r *registry) takeBehind() (reaped int) {
	for _, pid := range deadChildren() {
		if _, waited := r.own[pid]; !waited && r.take(pid) {
			reaped++
		}
	}
	return reaped
}

// take collects one dead child, unless another goroutine may be about to wait for it.
func (r *registry) take(pid int) bool {
	var s procfs.Stat
	if procfs.ReadStat(pid, &s) != nil || s.PGRP == syscall.Getpgrp() && !r.abandoned(&s) {
		return false
	}
	g := r.groupOf(&s)
	var usage syscall.Rusage
	if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, &usage); err != nil || got != pid {
		return false
	}
	delete(r.zombies, pid)
	if g != nil {
		g.AddUsage(&usage)
	}
	return true
}

// abandoned reports whether no goroutine will wait for a dead child in this process's own process
// group. Everything of a group has a session of its own, so either another goroutine made
// the child and waits for it, which takes milliseconds, or it was inherited from the shell that
// became this program, or is an orphan of such a child.
func (r *registry) abandoned(s *procfs.Stat) bool {
	z, known := r.zombies[s.PID]
	if !known || z.startedTicks != s.StartedTicks {
		if r.zombies == nil {
			r.zombies = map[int]zombie{}
		}
		z = zombie{s.StartedTicks, time.Now()}
		r.zombies[s.PID] = z
	}
	return time.Since(z.seen) >= abandonedAfter
}

// mainChildren returns the children of the main thread: those that were there when this program
// began, and those that the kernel has given to it. It fails on a kernel that does not list
// children (built without CONFIG_PROC_CHILDREN).
func mainChildren() ([]int, error) {
	text, err := procfs.ReadWhole(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()), 1<<10)
	return procfs.PIDs(nil, text), err
}

// deadChildren returns children that have ended and were not waited for; some that are made here
// are among them.
func deadChildren() (dead []int) {
	pids, err := mainChildren()
	if err == nil {
		return slices.DeleteFunc(pids, func(pid int) bool {
			var s procfs.Stat
			return procfs.ReadStat(pid, &s) != nil || !s.Dead()
		})
	}
	var scanner procfs.Scanner
	if scanner.Scan() != nil {
		return nil // the next search tries again
	}
	for i := range scanner.Stats {
		if s := &scanner.Stats[i]; s.PPID == os.Getpid() && s.Dead() {
			dead = append(dead, s.PID)
		}
	}
	return dead
}

// peekDead returns the PID of a child that has ended and was not waited for, or 0.
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

// groupOf returns the group to which an adopted child belongs; nil for none. With one group alive, as
// in every agent, there is no question, unless the agent is the init of a container or was
// started by a shell that had children: then others' orphans come to it too, and only the
// mark decides.
func (r *registry) groupOf(s *procfs.Stat) Group {
	for g := range r.groups {
		if g.HasSession(s.Session) {
			return g
		}
	}
	if len(r.groups) == 1 && os.Getpid() != 1 && !r.inherited {
		for g := range r.groups {
			return g
		}
	}
	environ := member.Environ(s.PID)
	for g := range r.groups {
		if g.Marks().In(environ) {
			return g
		}
	}
	return nil
}

// Judge calls f with a function that reports whether a child of this process belongs to g: it was
// started for the group, or is an orphan of it. Until f returns no child is made and none is
// reaped.
func Judge(g Group, f func(belongs func(s *procfs.Stat) bool)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	f(func(s *procfs.Stat) bool { return all.belongs(g, s) })
}

// Direct calls f for each child of this process that belongs to g and is not known to have ended: those
// that were started for the group, and orphans of it. It finds those too that /proc hides.
func Direct(g Group, f func(s *procfs.Stat)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	pids, err := mainChildren()
	if err != nil || !all.adopts {
		pids = nil
	}
	pids = slices.AppendSeq(pids, maps.Keys(all.own))
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) {
		var s procfs.Stat
		if procfs.ReadStat(pid, &s) == nil && !s.Dead() && all.belongs(g, &s) {
			f(&s)
		}
	}
}

// belongs reports whether a child of this process belongs to g. The caller holds mu.
func (r *registry) belongs(g Group, s *procfs.Stat) bool {
	if _, made := r.own[s.PID]; made {
		return g.HasSession(s.PID)
	}
	return s.PGRP != syscall.Getpgrp() && r.groupOf(s) == g
}

func (r *registry) adopted(g Group, f func(s *procfs.Stat)) (listed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pids, err := mainChildren()
	if err != nil || !r.adopts {
		return false
	}
	for _, pid := range pids {
		var s procfs.Stat
		if _, made := r.own[pid]; made || procfs.ReadStat(pid, &s) != nil {
			continue
		}
		if r.belongs(g, &s) {
			f(&s)
		}
	}
	return true
}
