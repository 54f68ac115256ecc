package signals

import (
	"slices"
	"sync/atomic"
	"syscall"
)

// The runtime of Go delivers signals that come at about the same time by their numbers, SIGCONT
// before SIGTSTP, whichever came last. So the handlers of these signals count, where they can; see
// recordOrder.

// jobControl are the signals that stop a process, and SIGCONT.
var jobControl = []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT}

// handled has at 0 how many signals of jobControl the process has handled, and at the number of each
// what that count was at the last one.
var handled [lastSignal + 1]uint64

// wasContinued reports whether the process has got a SIGCONT after the last signal that stops it.
// It returns false where the order is not recorded.
func wasContinued() bool {
	at := func(sig syscall.Signal) uint64 { return atomic.LoadUint64(&handled[sig]) }
	last := at(syscall.SIGCONT)
	return last > 0 && !slices.ContainsFunc(jobControl, func(sig syscall.Signal) bool { return at(sig) > last })
}
