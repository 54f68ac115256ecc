// Package sink writes to the caller's stdout and stderr: descriptors that other processes
// share, and whose readers may be slow, pause, or close them.
package sink

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Write writes all of p and waits as long as the reader takes for it. It returns how much
// was written, and an error only when nothing more can be. Another process that shares the
// descriptor may have made it non-blocking: that is no error.
func Write(f *os.File, p []byte) (int, error) {
	done := 0
	for {
		n, err := f.Write(p[done:])
		done += n
		if err == nil {
			return done, nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return done, err
		}
		if err := waitWritable(f); err != nil {
			return done, err
		}
	}
}

// waitWritable waits until a write to f would do something: take bytes, or fail.
func waitWritable(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		for {
			if _, pollErr = unix.Poll(fds, -1); !errors.Is(pollErr, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return pollErr
}

// ReaderGone reports whether an error of a write means that there is no reader any more: the other
// end of a pipe or socket was closed, or the terminal is gone.
func ReaderGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed)
}
