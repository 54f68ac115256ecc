package watch_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var runNumber int

// testRun makes a run id that no other test has: marks are searched for on the whole host.
func testRun() string {
	runNumber++
	return fmt.Sprintf("0193c001-0000-7000-8000-%06d%06d", os.Getpid()%1_000_000, runNumber)
}

func start(t *testing.T, g *process.Group, args ...string) *process.Process {
	t.Helper()
	p, err := g.Start(process.Spec{Args: args, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// await polls a condition with a deadline.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func empty(t *testing.T, g *process.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.Empty(ctx); err != nil {
		members, _ := g.Members()
		t.Fatalf("not empty: %v, members %v", err, members)
	}
}

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
	args := append(append(shell[1:len(shell):len(shell)], "-c", watch.Script, "stint-watcher", mark[0], mark[1]), dirs...)
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

// The watcher ends the sessions that it was sent, and no process group that got the
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
			send := func(pid int, ticks uint64) { fmt.Fprintf(&lines, "%d %d\n", pid, ticks) }
			pid := func(c *exec.Cmd) int { return c.Process.Pid }
			send(pid(retracted), member.StartedAt(pid(retracted)))
			send(pid(ours), member.StartedAt(pid(ours)))
			send(pid(stranger), member.StartedAt(pid(stranger))-1)
			send(pid(withName), member.StartedAt(pid(withName)))
			send(leader, member.StartedAt(pid(ours)))
			fmt.Fprintf(&lines, "-%d\n", pid(retracted))
			runWatcher(t, shell, testRun(), lines.String())
			for name, p := range map[string]int{"ours": pid(ours), "one with an odd name": pid(withName), "the rest of a session": follower} {
				await(t, name+" to be ended", func() bool { return dead(p) })
			}
			for name, p := range map[string]int{"a stranger": pid(stranger), "one whose number was retracted": pid(retracted)} {
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
			g, err := process.Contain(process.Options{Run: testRun(), Attempt: 1, AtMost: contain.LevelCgroup1})
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
			runWatcher(t, shell, testRun(), "", frozen, g.CgroupDir("memory"), g.CgroupDir("cpuacct"))
			if e := p.Exit(); e.Signal != "SIGKILL" {
				t.Errorf("ended as %+v", e)
			}
		})
	}
}

// lively is a group that lives.
type lively struct{ t *testing.T }

func (lively) Lives() bool                       { return true }
func (lively) CgroupDirs() []string              { return nil }
func (l lively) Note(format string, args ...any) { l.t.Errorf(format, args...) }

// Sessions in which nothing lives any more are retracted, as their numbers are free.
func TestEndedSessionsAreTakenBack(t *testing.T) {
	g, err := process.Contain(process.Options{Run: testRun(), Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	guard := watch.NewByHand(lively{t}, w)
	first := start(t, g, "sleep", "1000")
	guard.Add(first)
	defer guard.StopTimer()
	guard.Update()
	second := start(t, g, "sh", "-c", "sleep 1000 & exit 0")
	guard.Add(second)
	second.Exit()
	guard.Update()
	if err := first.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.Exit()
	guard.RetractEnded()
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	empty(t, g)
	guard.RetractEnded()
	guard.RetractEnded() // once is enough
	w.Close()
	text := make([]byte, 1<<10)
	n, _ := r.Read(text)
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	want := []string{fmt.Sprintf("%d ", first.PID()), fmt.Sprintf("%d 0", second.PID()), fmt.Sprintf("-%d", first.PID()), fmt.Sprintf("-%d", second.PID())}
	if len(lines) != len(want) {
		t.Fatalf("it was sent %q", lines)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, not %q", i+1, lines[i], want[i])
		}
	}
}
