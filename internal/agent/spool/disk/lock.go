package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrBusy says that a living agent owns the journal.
var ErrBusy = errors.New("another agent owns this journal")

// Lock takes the owner's lock of a journal, or returns ErrBusy. The kernel drops it when
// the last process that holds the file is gone, however it ended.
func Lock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// Locked reports whether somebody else has the lock. It takes a shared lock for a moment, so
// that two that ask do not see each other.
func Locked(f *os.File) bool { return errors.Is(flock(f, unix.LOCK_SH), ErrBusy) }

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrBusy
		default:
			return fmt.Errorf("spool: lock %s: %w", f.Name(), err)
		}
	}
}
