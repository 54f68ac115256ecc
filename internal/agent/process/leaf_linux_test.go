package process

import (
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/job"
)

// newLeafParent is a cgroup of the test's own, in the hierarchy that a group here would use.
func newLeafParent(t *testing.T) string {
	t.Helper()
	g, err := Contain(Options{Run: testRun(), Attempt: 1, AtMost: levels(t)[0]})
	if err != nil {
		t.Fatal(err)
	}
	dirs := g.containment.Dirs()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		t.Skip("this host and user have no cgroups")
	}
	parent := path.Join(path.Dir(dirs[0]), "test-"+testRun())
	if err := os.Mkdir(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeTree(parent) }) // the test has reported what was wrong
	return parent
}

// A cgroup that somebody removed is no reason for the job not to start, and no program is
// blamed for it.
func TestStartAfterTheLeafWasRemoved(t *testing.T) {
	for _, level := range levels(t) {
		if level == contain.LevelProcessGroup {
			continue
		}
		t.Run(level, func(t *testing.T) {
			g, err := Contain(Options{Run: testRun(), Attempt: 1, AtMost: level, MemoryLimitBytes: 1 << 30, MemoryLimitName: "the limit"})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if text := g.Unenforced(); os.Getuid() == 0 && text != "" {
				t.Errorf("before the start: %s", text)
			}
			for _, dir := range g.containment.Dirs() {
				if err := syscall.Rmdir(dir); err != nil {
					t.Fatal(err)
				}
			}
			p, err := g.Start(Spec{Args: []string{"sh", "-c", "exit 3"}, Env: os.Environ()})
			if err != nil {
				t.Fatalf("not started: %v", err)
			}
			if e := p.Exit(); e.Code != 3 {
				t.Errorf("exit %+v", e)
			}
			if notes := strings.Join(g.Notes(), "\n"); !strings.Contains(notes, "cgroup") || g.Level() == level {
				t.Errorf("level %s, notes %q", g.Level(), notes)
			}
			if text := g.Unenforced(); os.Getuid() == 0 && !strings.HasPrefix(text, "the limit is not enforced: the job's processes are not in the cgroup /") {
				t.Errorf("after the start: %q", text)
			}
			// A program that is not there stays one.
			_, err = g.Start(Spec{Args: []string{"/nowhere/program"}, Env: os.Environ()})
			if e, ok := err.(*job.StartError); !ok || e.Errno != "ENOENT" || e.Hint != "there is no such file" {
				t.Errorf("got %v", err)
			}
		})
	}
}
