package signals

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoredByCaller has bit n-1 set for each signal n that was ignored when the program began.
// The program's first instructions write it, on the systems that have them; see
// caller_linux_amd64.s.
var ignoredByCaller uint64

const lastSignal = 64

// callerIgnores reports whether the caller of the program ignores a signal. Where the
// program's beginning does not record it, that is known for SIGHUP, SIGINT and the signals of
// job control only.
func callerIgnores(sig syscall.Signal) bool {
	return ignoredByCaller&(1<<(sig-1)) != 0 || ignored(sig)
}

// keepIgnored ignores what the caller of the program ignores, as the program would without the
// runtime of Go. Processes that it starts inherit that. It cannot ignore SIGCHLD, as it waits for
// children, and SIGURG, by which the runtime interrupts threads.
func keepIgnored() {
	var all []os.Signal
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if ignoredByCaller&(1<<(sig-1)) != 0 && sig != syscall.SIGCHLD && sig != syscall.SIGURG {
			all = append(all, sig)
		}
	}
	if len(all) > 0 { // none would mean every one
		signal.Ignore(all...)
	}
}
