package deadfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Frozen is an ext4 that can be frozen: what writes to it waits in the kernel until it is thawed,
// and not even SIGKILL ends it before. Reading goes on.
type Frozen struct {
	Dir string
	t   TB
}

// MountFrozen mounts one, which is not frozen yet. It is thawed and unmounted at the end of the
// test, and thawed also when the test's process dies. The test is skipped where this cannot be
// had.
func MountFrozen(t TB) *Frozen {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("no file system can be made here: %v", err)
	}
	base := t.TempDir()
	image, f := filepath.Join(base, "image"), &Frozen{Dir: filepath.Join(base, "mnt"), t: t}
	if err := os.Mkdir(f.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.must("truncate", "-s", "64M", image)
	f.must("mkfs.ext4", "-q", "-F", image)
	f.must("mount", "-o", "loop", image, f.Dir)
	watch := exec.Command("sh", "-c", `read x; fsfreeze -u "$1" 2>/dev/null; umount "$1"`, "sh", f.Dir)
	watch.Stderr = os.Stderr
	in, err := watch.StdinPipe()
	if err == nil {
		err = watch.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() {
		in.Close()
		if err := watch.Wait(); err != nil {
			t.Error(err)
		}
	}))
	return f
}

// Writes reports whether a thread of a process waits for something that nothing can interrupt,
// as one does that writes to what is frozen.
func Writes(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is a good one
	for _, file := range files {
		text, err := os.ReadFile(file)
		if _, state, ok := strings.Cut(string(text), ") "); err == nil && ok && state[0] == 'D' {
			return true
		}
	}
	return false
}

// Freeze makes writers wait from now on, and Thaw lets them go on.
func (f *Frozen) Freeze() { f.t.Helper(); f.must("fsfreeze", "-f", f.Dir) }

// Thaw ends Freeze.
func (f *Frozen) Thaw() { f.t.Helper(); f.must("fsfreeze", "-u", f.Dir) }

func (f *Frozen) must(words ...string) {
	f.t.Helper()
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		f.t.Fatal(words, err, string(bytes.TrimSpace(out)))
	}
}
