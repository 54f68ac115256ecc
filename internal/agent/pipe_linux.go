package agent

import (
	"os"

	"golang.org/x/sys/unix"
)

// bytesWaiting is the ioctl that returns how many bytes can be read.
const bytesWaiting = unix.TIOCINQ

// enlarge gives a pipe the capacity we want and returns the one it has.
func enlarge(f *os.File, want int) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var size int
	var opErr error
	err = conn.Control(func(fd uintptr) {
		if _, opErr = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, want); opErr == nil {
			size = want
			return
		}
		size, _ = unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0) // 0 when it fails too
	})
	if err != nil {
		return 0, err
	}
	return size, opErr
}

// blockingPipe makes a pipe that is read with plain blocking calls. A pipe that Go's poller
// watches wakes its reader at every single write, also when nobody waits (so the kernel
// treats pipes in an epoll set), and a job that writes line by line pays for each: its
// 256 MiB in lines of 100 bytes took three times as long (docs/benchmarks.md).
func blockingPipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}

// dupTo makes the descriptor to a copy of from.
func dupTo(from, to int) error { return unix.Dup3(from, to, 0) }
