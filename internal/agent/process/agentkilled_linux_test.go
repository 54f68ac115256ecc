package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/watch"
)

// An agent that is killed with SIGKILL leaves nothing behind. At the cgroup levels that
// holds for every kind of child; at the level of process groups, for those that kept their
// session or the mark in their environment.
func TestAgentKilled(t *testing.T) {
	for _, level := range levels(t) {
		for _, e := range evil {
			if level == contain.LevelProcessGroup && (e.name == "double fork without the mark" || e.name == "forks on and on") {
				continue // not promised there: docs/adr/0003-containment.md
			}
			t.Run(level+"/"+strings.ReplaceAll(e.name, " ", "-"), func(t *testing.T) {
				run := testRun()
				agent := exec.Command("/proc/self/exe")
				agent.Env = append(os.Environ(), "STINT_TEST_ROLE=agent", "STINT_TEST_RUN="+run, "STINT_TEST_ATTEMPT=1",
					"STINT_TEST_LEVEL="+level, "STINT_TEST_SCRIPT="+e.script)
				out, err := agent.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				agent.Stderr = os.Stderr
				if err := agent.Start(); err != nil {
					t.Fatal(err)
				}
				if n, err := out.Read(make([]byte, 3)); n != 3 || err != nil {
					t.Fatalf("the child did not come up: %d bytes, %v", n, err)
				}
				await(t, "the watcher", func() bool { return hasWatcher(agent.Process.Pid) })
				if err := agent.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = agent.Wait() // killed, as was asked
				await(t, "nothing to be left", func() bool {
					left, err := watch.Survivors(run, 1, nil)
					if err != nil {
						t.Fatal(err)
					}
					return len(left) == 0 && !watcherOf(run)
				})
				// The watcher removes the groups before it ends.
				if dirs, _ := filepath.Glob("/sys/fs/cgroup/*/stint-" + run + "*"); len(dirs) > 0 {
					t.Errorf("cgroups left: %v", dirs)
				}
			})
		}
	}
}

// hasWatcher reports whether a process has its watcher, which then reads from the agent.
func hasWatcher(agent int) bool {
	found := false
	eachCommandLine(func(pid int, cmdline string) {
		var ppid string
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status"); err == nil {
			_, after, _ := strings.Cut(string(stat), "PPid:\t")
			ppid, _, _ = strings.Cut(after, "\n")
		}
		found = found || isWatcher(cmdline) && ppid == strconv.Itoa(agent)
	})
	return found
}

func isWatcher(cmdline string) bool {
	return strings.HasPrefix(cmdline, "sh\x00-c\x00") && strings.Contains(cmdline, "\x00stint-watcher\x00")
}

func watcherOf(run string) bool {
	found := false
	eachCommandLine(func(_ int, cmdline string) {
		found = found || isWatcher(cmdline) && strings.Contains(cmdline, run)
	})
	return found
}

func eachCommandLine(f func(pid int, cmdline string)) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			f(pid, string(text))
		}
	}
}

// What survives both the agent and its watcher is found by the next agent.
func TestSweep(t *testing.T) {
	run := testRun()
	cmd := exec.Command("sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 &); echo in")
	mark := member.MarksOf(run, 7)
	cmd.Env = append(os.Environ(), mark[0], mark[1])
	if out, err := cmd.Output(); err != nil || string(out) != "in\n" {
		t.Fatal(string(out), err)
	}
	await(t, "the survivor to be what it will be", func() bool {
		left, err := watch.Survivors(run, 7, nil)
		return err == nil && len(left) == 1 && left[0].Name == "sleep"
	})
	if killed, err := watch.Sweep(run, 8); err != nil || len(killed) != 0 {
		t.Errorf("another attempt: killed %v, %v", killed, err)
	}
	killed, err := watch.Sweep(run, 7)
	if err != nil || len(killed) != 1 || killed[0].Name != "sleep" {
		t.Errorf("killed %v, %v", killed, err)
	}
	await(t, "it to be gone", func() bool { again, _ := watch.Survivors(run, 7, nil); return len(again) == 0 })
}
