package signals

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
)

// disposition is what the kernel does with a signal; all that matters is that the handler
// comes first, and that zeros are the default.
type disposition [8]uintptr

const (
	ignore       = 1 // SIG_IGN, the handler of what is ignored
	kernelSigset = 8 // bytes
)

func readDisposition(sig syscall.Signal) (d disposition, ok bool) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&d)), kernelSigset, 0, 0)
	return d, errno == 0
}

func writeDisposition(sig syscall.Signal, d disposition) (ok bool) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&d)), 0, kernelSigset, 0, 0)
	return errno == 0
}

// ignored asks the kernel whether a signal is ignored now.
func ignored(sig syscall.Signal) bool {
	d, ok := readDisposition(sig)
	return ok && d[0] == ignore
}

// raise sends a signal to the calling thread. If it is not blocked, the kernel has acted on
// it when this returns, and a stop of the process is over.
func raise(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), sig) // fails for no valid signal
}

// SuspendSelf stops the process as sig would have done it, had it not been taken, and returns
// when it is continued: at once if a SIGCONT has come after the last signal that stops it. Where
// the kernel does not stop for sig, SIGSTOP does it.
func SuspendSelf(sig syscall.Signal) {
	taken, ok := readDisposition(sig) // os/signal does not give back the default
	if !ok || groupIsOrphaned() || !writeDisposition(sig, disposition{}) {
		if !wasContinued() {
			raise(syscall.SIGSTOP)
		}
		return
	}
	stopUnlessContinued(sig)
	_ = writeDisposition(sig, taken) // has worked a moment ago
}

// stopUnlessContinued raises sig, which has the default action, unless a SIGCONT has come. While
// that is checked, the thread blocks sig, which waits: the kernel drops it if a SIGCONT comes.
func stopUnlessContinued(sig syscall.Signal) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	blocked, before := setOf(sig, syscall.SIGCONT), unix.Sigset_t{}
	if unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before) != nil {
		return // fails for no valid set
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	if wasContinued() || isPending(syscall.SIGCONT) { // which raising sig would drop
		return
	}
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), sig) // fails for no valid signal
	if wasContinued() {
		_ = writeDisposition(sig, disposition{ignore}) // drops what waits; has worked a moment ago
	}
}

// setOf returns a set of signals.
func setOf(sigs ...syscall.Signal) (set unix.Sigset_t) {
	const bits = 8 * uint(unsafe.Sizeof(set.Val[0]))
	for _, sig := range sigs {
		set.Val[uint(sig-1)/bits] |= 1 << (uint(sig-1) % bits)
	}
	return set
}

// isPending reports whether a signal that this thread blocks waits for the process.
func isPending(sig syscall.Signal) bool {
	waiting, set := unix.Sigset_t{}, setOf(sig)
	_, _, errno := unix.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&waiting)), kernelSigset, 0)
	for i := range set.Val {
		set.Val[i] &= waiting.Val[i]
	}
	return errno == 0 && set != unix.Sigset_t{}
}

// groupIsOrphaned reports whether there is no process that could continue the process group: the
// kernel stops it for none of the terminal's signals then.
func groupIsOrphaned() bool {
	var sc procfs.Scanner
	return sc.Scan() != nil || orphaned(unix.Getpgrp(), sc.Stats)
}

// orphaned reports whether a process group is orphaned, by the rule of POSIX: no member has a parent
// in the same session that is outside of the group.
func orphaned(group int, all []procfs.Stat) bool {
	byPID := make(map[int]*procfs.Stat, len(all))
	for i := range all {
		byPID[all[i].PID] = &all[i]
	}
	for i := range all {
		member := &all[i]
		if member.PGRP != group || member.Dead() {
			continue
		}
		parent, known := byPID[member.PPID]
		if known && parent.Session == member.Session && parent.PGRP != group {
			return false
		}
	}
	return true
}
