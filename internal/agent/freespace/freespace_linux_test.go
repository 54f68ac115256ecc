package freespace

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file system that moves 1 MiB at a time counts its blocks in 4 KiB.
func TestBlocksAreCountedInFragments(t *testing.T) {
	st := unix.Statfs_t{Bsize: 1 << 20, Frsize: 4 << 10, Blocks: 1000, Bfree: 300, Bavail: 250}
	if got, want := spaceOf(&st), (Space{Free: 250 * 4 << 10, Total: 1000 * 4 << 10}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOf(t *testing.T) {
	dir := t.TempDir()
	if s, err := Of(dir); err != nil || s.Total <= 0 || s.Free < 0 || s.Free > s.Total {
		t.Errorf("%+v, error %v", s, err)
	}
	if _, err := Of(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a path that does not exist: %v", err)
	}
}
