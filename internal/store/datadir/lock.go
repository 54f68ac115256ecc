//go:build unix

package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock locks a data directory for this process. The kernel releases the lock when the process ends. The file has
// the id of the process for error messages.
func Lock(dir string) (release func() error, err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Unusable(dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		return nil, errors.Join(&InUseError{Dir: dir, PID: strings.TrimSpace(string(owner))}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w; does this file system know locks?", path, err), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(Unusable(dir, err), f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(Unusable(dir, err), f.Close())
	}
	return f.Close, nil
}

// InUseError is the error of a data directory that another server uses.
type InUseError struct {
	Dir string
	PID string // of the other server, if it is known
}

func (e *InUseError) Error() string {
	who := "another server"
	if e.PID != "" {
		who += " (process " + e.PID + ")"
	}
	return fmt.Sprintf("data directory %s is in use by %s: stop it, or choose another directory with --data", e.Dir, who)
}
