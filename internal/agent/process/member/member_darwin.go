package member

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal sends sig to a member. One that has ended is no error.
func (m Member) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(m.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s (pid %d): %w", m.Name, m.PID, err)
	}
	return nil
}

// StartedAt is not known here: without a /proc the watcher cannot compare it.
func StartedAt(int) uint64 { return 0 }

// effectiveUID returns the user that a process runs as; -1 when that is not known.
func effectiveUID(pid int) int {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return -1
	}
	return int(p.Eproc.Ucred.Uid)
}
