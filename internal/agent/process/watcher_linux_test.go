package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
)

// shells are those that a host may have as /bin/sh.
func shells(t *testing.T) (all [][]string) {
	t.Helper()
	for _, words := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if path, err := exec.LookPath(words[0]); err == nil {
			all = append(all, append([]string{path}, words[1:]...))
		}
	}
	if len(all) == 0 {
		t.Fatal("this host has no shell")
	}
	return all
}

// runWatcher runs the watcher's script as for an agent of a run that sent it lines and died.
func runWatcher(t *testing.T, shell []string, run, lines string, dirs ...string) {
	t.Helper()
	mark := member.MarksOf(run, 1)
	args := append(append(shell[1:len(shell):len(shell)], "-c", watcherScript, "stint-watcher", mark[0], mark[1]), dirs...)
	cmd := exec.Command(shell[0], args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%s: %v: %s", shell, err, out) // what it says and returns goes nowhere
	}
}

// session starts a program in a session of its own.
func session(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // most have ended
		_ = cmd.Wait()
	})
	return cmd
}

func lives(pid int) bool {
	return member.StartedAt(pid) != 0 && syscall.Kill(pid, 0) == nil
}

// dead reports whether a process is gone or waits to be reaped.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// The watcher ends the sessions that it was told of, and no process group that got the
// number of one later.
func TestWatcherEndsNoStranger(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	// A name that looks like the fields after it.
	odd := filepath.Join(t.TempDir(), "x) R 1 2 3 4")
	if err := os.WriteFile(odd, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, shell := range shells(t) {
		t.Run(filepath.Base(shell[0]), func(t *testing.T) {
			ours, stranger, retracted, withName := session(t, sleep, "1000"), session(t, sleep, "1000"), session(t, sleep, "1000"), session(t, odd, "1000")
			leaderEnded := exec.Command("setsid", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $$ $!")
			out, err := leaderEnded.Output()
			if err != nil {
				t.Fatal(err)
			}
			var leader, follower int
			if _, err := fmt.Sscan(string(out), &leader, &follower); err != nil {
				t.Fatal(err)
			}
			await(t, "the session's first process to be gone", func() bool { return member.StartedAt(leader) == 0 })
			var lines strings.Builder
			tell := func(pid int, ticks uint64) { fmt.Fprintf(&lines, "%d %d\n", pid, ticks) }
			pid := func(c *exec.Cmd) int { return c.Process.Pid }
			tell(pid(retracted), member.StartedAt(pid(retracted)))
			tell(pid(ours), member.StartedAt(pid(ours)))
			tell(pid(stranger), member.StartedAt(pid(stranger))-1)
			tell(pid(withName), member.StartedAt(pid(withName)))
			tell(leader, member.StartedAt(pid(ours)))
			fmt.Fprintf(&lines, "-%d\n", pid(retracted))
			runWatcher(t, shell, testRun(), lines.String())
			for name, p := range map[string]int{"ours": pid(ours), "one with an odd name": pid(withName), "the rest of a session": follower} {
				await(t, name+" to be ended", func() bool { return dead(p) })
			}
			for name, p := range map[string]int{"a stranger": pid(stranger), "one whose number was taken back": pid(retracted)} {
				if !lives(p) {
					t.Errorf("%s was ended", name)
				}
			}
		})
	}
}

// Without a cgroup the watcher finds what left its session by the mark in the environment, whole
// and of this attempt.
func TestWatcherEndsWhatHasTheMark(t *testing.T) {
	for _, shell := range shells(t) {
		t.Run(filepath.Base(shell[0]), func(t *testing.T) {
			run := testRun()
			sleeping := func(env ...string) int {
				cmd := exec.Command("setsid", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
				cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
				out, err := cmd.Output()
				pid := 0
				if err == nil {
					_, err = fmt.Sscan(string(out), &pid)
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // most have ended
				return pid
			}
			mark, other := member.MarksOf(run, 1), member.MarksOf(run, 11)
			marked := sleeping(mark[0], mark[1])
			strangers := []int{sleeping(other[0], other[1]), sleeping(mark[0]+"x", mark[1]), sleeping("X"+mark[0], mark[1]), sleeping(mark[0])}
			runWatcher(t, shell, run, "")
			await(t, "the process with the mark to be ended", func() bool { return dead(marked) })
			for i, pid := range strangers {
				if !lives(pid) {
					t.Errorf("stranger %d was ended", i)
				}
			}
		})
	}
}

// An agent can die while it has an attempt's group frozen: what is in it could not even be
// killed.
func TestWatcherThawsFrozenGroups(t *testing.T) {
	for _, shell := range shells(t) {
		t.Run(filepath.Base(shell[0]), func(t *testing.T) {
			g, err := Contain(Options{Run: testRun(), Attempt: 1, AtMost: contain.LevelCgroup1})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			frozen := g.CgroupDir("freezer")
			if frozen == "" {
				t.Skip("this host and user have no v1 freezer group")
			}
			p := start(t, g, "sleep", "1000")
			if err := os.WriteFile(frozen+"/freezer.state", []byte("FROZEN"), 0); err != nil {
				t.Fatal(err)
			}
			runWatcher(t, shell, testRun(), "", g.containment.Dirs()...)
			if e := p.Exit(); e.Signal != "SIGKILL" {
				t.Errorf("ended as %+v", e)
			}
		})
	}
}

// Sessions in which nothing lives any more are taken back, as their numbers are free.
func TestEndedSessionsAreTakenBack(t *testing.T) {
	g, err := Contain(Options{Run: testRun(), Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g.guards.after = time.Hour // the test says when
	first := start(t, g, "sleep", "1000")
	g.guards.mu.Lock()
	g.guards.watcher = &watcher{process: first.os, pipe: w}
	g.guards.mu.Unlock()
	g.guard()
	second := start(t, g, "sh", "-c", "sleep 1000 & exit 0")
	second.Exit()
	g.guard()
	if err := first.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.Exit()
	g.retractEnded()
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	empty(t, g)
	g.retractEnded()
	g.retractEnded() // once is enough
	g.guards.mu.Lock()
	g.guards.watcher = nil
	g.guards.mu.Unlock()
	w.Close()
	text := make([]byte, 1<<10)
	n, _ := r.Read(text)
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	want := []string{fmt.Sprintf("%d ", first.pid), fmt.Sprintf("%d 0", second.pid), fmt.Sprintf("-%d", first.pid), fmt.Sprintf("-%d", second.pid)}
	if len(lines) != len(want) {
		t.Fatalf("told %q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, not %q", i+1, lines[i], want[i])
		}
	}
}
