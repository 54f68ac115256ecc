package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/filelock"
)

// readerTimeout is how long a reader waits for a process that checks whether an entry can be
// removed, or that has just published it: both take moments.
const readerTimeout = 2 * time.Second

// errGone reports that a directory lost its name while its lock was waited for.
var errGone = errors.New("it was removed meanwhile")

// lockDir opens a directory and locks it, waiting no longer than atMost. The lock ends when
// the file is closed.
func lockDir(ctx context.Context, dir string, lock func(fd int) error, atMost time.Duration) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := lockFile(ctx, f, lock, atMost); err != nil {
		_ = f.Close()
		return nil, err
	}
	have, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Lstat(dir); err == nil && os.SameFile(have, now) {
			return f, nil
		}
	}
	_ = f.Close()
	return nil, errGone
}

// lockFile locks an open file, waiting no longer than atMost.
func lockFile(ctx context.Context, f *os.File, lock func(fd int) error, atMost time.Duration) error {
	deadline := time.Now().Add(atMost)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		err := lock(int(f.Fd()))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, filelock.ErrLocked):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case !time.Now().Before(deadline):
			return fmt.Errorf("%s: %w", f.Name(), errInUse)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// makeLocked makes a directory of a fresh name in parent and locks it. Another process may
// remove it as left over between the two, so it is tried again.
func makeLocked(parent, pattern string) (string, *os.File, error) {
	for range 10 {
		dir, err := os.MkdirTemp(parent, pattern)
		if err != nil {
			return "", nil, err
		}
		lock, err := lockDir(context.Background(), dir, filelock.Exclusive, 0)
		if err == nil {
			return dir, lock, nil
		}
		if !errors.Is(err, errGone) && !errors.Is(err, errInUse) && !errors.Is(err, os.ErrNotExist) {
			return "", nil, errors.Join(err, os.Remove(dir))
		}
	}
	return "", nil, fmt.Errorf("%s: another process removes every new directory", parent)
}

// removeLeftover removes a directory that is not locked: its maker is gone.
func removeLeftover(dir string) bool {
	lock, err := lockDir(context.Background(), dir, filelock.Exclusive, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return removeAll(dir) == nil
}
