package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// holdName is the lock file that keeps files of the data directory from being removed while a backup copies them.
// A backup takes a shared lock, the removal of files an exclusive one.
const holdName = "backup.lock"

// Hold takes the lock of a data directory against backups. It waits for a shared lock. If it cannot get an
// exclusive one at once, release is nil.
func Hold(dir string, share bool) (release func() error, err error) {
	how := unix.LOCK_EX | unix.LOCK_NB
	if share {
		how = unix.LOCK_SH
	}
	f, err := os.OpenFile(filepath.Join(dir, holdName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock against backups: %w", err)
	}
	err = unix.Flock(int(f.Fd()), how)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, f.Close()
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f.Close, nil
}
