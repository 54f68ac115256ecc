package spool

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system of a size, for one test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	mountSmallDisk(t, dir, size)
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

// mountSmallDisk mounts a file system of a size on a directory.
func mountSmallDisk(t *testing.T, dir string, size int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		if os.Getenv("CI") != "" { // root may do it there
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("no small disk can be mounted here: %v", err)
	}
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Errorf("unmount: %v", err)
	}
}
