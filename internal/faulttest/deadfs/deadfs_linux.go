// Package deadfs makes a file system that answers nothing, as one on a dead network; for tests.
package deadfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// TB is what Mount needs of a *testing.T.
type TB interface {
	Helper()
	Skip(args ...any)
	Skipf(format string, args ...any)
	Fatal(args ...any)
	Error(args ...any)
	Cleanup(f func())
	TempDir() string
}

// Mount mounts a FUSE whose daemon never reads, and returns its directory. Calls into it wait
// until release makes them fail, at the end of the test at the latest, or until the process is
// killed. The test is skipped where this cannot be had.
func Mount(t TB) (dir string, release func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no file system can be made here: %v", err)
	}
	dir = t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device.Fd())
	if err := unix.Mount("dead", dir, "fuse", 0, options); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		device.Close()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return dir, release
}

// Waits reports whether a thread of a process waits for such a file system.
func Waits(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid)) // the pattern is a good one
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && (strings.Contains(string(text), "fuse") || strings.Contains(string(text), "request_wait_answer")) {
			return true
		}
	}
	return false
}
