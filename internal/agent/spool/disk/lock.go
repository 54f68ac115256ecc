package disk

import (
	"errors"
	"fmt"
	"os"

	"stint.dev/stint/internal/agent/filelock"
)

// ErrBusy says that a living agent owns the journal.
var ErrBusy = errors.New("another agent owns this journal")

// Lock takes the owner's lock of a journal, or returns ErrBusy. The kernel drops it when
// the last process that holds the file is gone, however it ended.
func Lock(f *os.File) error {
	err := filelock.Exclusive(int(f.Fd()))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, filelock.ErrLocked):
		return ErrBusy
	}
	return fmt.Errorf("spool: lock %s: %w", f.Name(), err)
}

// Locked reports whether another process has the lock. It takes a shared lock for a moment, so
// that two that check do not see each other.
func Locked(f *os.File) bool { return errors.Is(filelock.Shared(int(f.Fd())), filelock.ErrLocked) }
