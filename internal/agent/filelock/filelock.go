// Package filelock tries to lock files (flock).
package filelock

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ErrLocked reports that another open file has the lock.
var ErrLocked = errors.New("it is locked")

// Exclusive takes the lock of a file that only one open file can have. It does not wait: if
// another has it, the error is ErrLocked. The kernel drops the lock when the last descriptor
// of the open file is closed.
func Exclusive(fd int) error { return try(fd, unix.LOCK_EX) }

// Shared takes a lock that several can have, unless one has an exclusive one.
func Shared(fd int) error { return try(fd, unix.LOCK_SH) }

func try(fd, how int) error {
	for {
		err := unix.Flock(fd, how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		default:
			return err
		}
	}
}

// Unlock gives a lock back, also where a child that has not replaced its program yet has the
// open file too.
func Unlock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_UN); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
