package contain

import (
	"fmt"
	"os"
	"path"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/member"
)

// alone is a group without processes.
type alone struct{ t *testing.T }

func (alone) HasSession(int) bool                                    { return false }
func (alone) Marks() member.Marks                                    { return member.MarksOf("none", 1) }
func (alone) AddUsage(*syscall.Rusage)                               {}
func (alone) Reaped()                                                {}
func (alone) KilledFromOutside() (pid int, name string, killed bool) { return 0, "", false }
func (a alone) Note(format string, args ...any)                      { a.t.Logf(format, args...) }

// newLeafParent is a cgroup of the test's own, in the hierarchy that a group here would use.
func newLeafParent(t *testing.T) string {
	t.Helper()
	run := fmt.Sprintf("0193c000-0000-7000-8000-%012d", os.Getpid())
	c := New(Config{Run: run, Attempt: 1}, alone{t})
	dirs := c.Dirs()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Skip("this host and user have no cgroups")
	}
	parent, err := os.MkdirTemp(path.Dir(dirs[0]), "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeTree(parent) }) // the test has reported what was wrong
	return parent
}

// Agents that start the same attempt at once have a cgroup each, and none takes away
// another's: also between another's making and locking it.
func TestLeavesOfOneNameAtOnce(t *testing.T) {
	parent := newLeafParent(t)
	const agents, rounds = 8, 50
	var all sync.WaitGroup
	for range agents {
		all.Go(func() {
			for range rounds {
				l, err := makeLeaf(parent, "stint-same.1")
				if err != nil {
					t.Errorf("make: %v", err)
					return
				}
				var mine, there unix.Stat_t
				if err := unix.Fstat(l.fd, &mine); err != nil {
					t.Error(err)
				}
				if err := unix.Stat(l.dir, &there); err != nil || mine.Ino != there.Ino {
					t.Errorf("%s is not the locked directory any more: %v", l.dir, err)
				}
				if err := l.remove(); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	all.Wait()
	if left := subdirs(parent); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What a dead agent left under the name does not keep the attempt from a cgroup.
func TestLeafBesideOneOfADeadAgent(t *testing.T) {
	parent := newLeafParent(t)
	if err := os.Mkdir(path.Join(parent, "stint-same.1"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := makeLeaf(parent, "stint-same.1")
	if err != nil {
		t.Fatal(err)
	}
	if !hasLeaf([]byte("0::"+l.dir), []byte("/stint-same.1")) {
		t.Errorf("Sweep does not find what is in %s", l.dir)
	}
	if err := l.remove(); err != nil {
		t.Error(err)
	}
}
