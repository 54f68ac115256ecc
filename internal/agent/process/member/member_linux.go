package member

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/procfs"
)

// Signal sends sig to exactly this process: the PID is pinned by a pidfd and compared by
// its start time, so that a PID that was given to a stranger meanwhile is never hit. A
// member that has ended is no error.
func (m Member) Signal(sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(m.PID, 0)
	switch {
	case errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL): // gone; or the PID is now a thread's
		return nil
	case err != nil: // a kernel before 5.3, or no descriptor left
		fd = -1
	default:
		defer unix.Close(fd)
	}
	var s procfs.Stat
	if procfs.ReadStat(m.PID, &s) != nil || s.StartedTicks != m.StartedTicks {
		return nil
	}
	if fd >= 0 {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if fd < 0 || errors.Is(err, unix.ENOSYS) {
		err = syscall.Kill(m.PID, sig)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s (pid %d): %w", m.Name, m.PID, err)
	}
	return nil
}

// StartedAt returns when a process started, in the unit of Member.StartedTicks; 0 when there is none.
func StartedAt(pid int) uint64 {
	var s procfs.Stat
	if procfs.ReadStat(pid, &s) != nil {
		return 0
	}
	return s.StartedTicks
}

// effectiveUID returns the user that a process runs as; -1 when that is not known.
func effectiveUID(pid int) int {
	if procfs.Usable() != nil {
		return -1
	}
	text, err := procfs.ReadWhole(fmt.Sprintf("/proc/%d/status", pid), 4<<10)
	if err != nil {
		return -1
	}
	_, after, _ := strings.Cut(string(text), "\nUid:\t")
	fields := strings.Fields(after)
	if len(fields) < 2 {
		return -1
	}
	uid, err := strconv.Atoi(fields[1]) // real, effective, saved
	if err != nil {
		return -1
	}
	return uid
}

// Environ returns the environment of a process as the kernel shows it; nil when the process is another
// user's, or gone.
func Environ(pid int) []byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil
	}
	return b
}
