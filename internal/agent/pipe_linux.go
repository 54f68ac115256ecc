package agent

import (
	"os"

	"golang.org/x/sys/unix"
)

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
