package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// evil are the beginnings of jobs that leave something which does not want to end. NAP stands
// for a time to sleep that no other process on the host has: by it a scan of /proc identifies
// what is left.
var evil = []struct{ name, script string }{
	{"double-fork", `(setsid sh -c '(sleep NAP) & exit 0' &)`},
	{"setsid", `setsid sleep NAP &`},
	{"without-the-mark", `(env -i setsid sleep NAP &)`},
	{"ignores-SIGTERM", `trap '' TERM; (while :; do sleep NAP; done) &`},
	{"stops-itself", `sh -c 'kill -STOP $$; sleep NAP' &`},
	{"many", `i=0; while [ $i -lt 50 ]; do (setsid sleep NAP &); i=$((i+1)); done`},
	{"closes-its-outputs", `sh -c 'exec >&- 2>&-; sleep NAP; :' &`},
	{"zombies", `sh -c 'sleep 0 & sleep 0 & exec sleep NAP' &`},
	{"dies-in-the-pipe", `yes | head -n 1; (sleep NAP; echo late) | cat &`},
	{"line-of-100-MB", `head -c 100000000 /dev/zero | tr '\0' x; sleep NAP &`},
	{"never-reads", `cat /dev/zero | sleep NAP &`},
}

// endings are the ways in which the attempt is over, once the job is in place.
var endings = []struct {
	name  string
	flags []string
	end   func(t *testing.T, s *server, run string, agent *exec.Cmd)
	codes []int
}{
	{"by-itself", nil, nil, []int{0}},
	{"timeout", []string{"--timeout", "1s"}, nil, []int{124}},
	{"cancel", []string{"--heartbeat-period", "100ms"}, func(t *testing.T, s *server, run string, _ *exec.Cmd) {
		eventually(t, "the server knows the run", func() bool { _, known := s.find(run); return known })
		if got := newHost(t).run("cancel", "--server", s.url, run); got.code != 0 {
			t.Errorf("stint cancel: %+v", got)
		}
	}, []int{143, 137}},
	{"SIGTERM", nil, func(t *testing.T, _ *server, _ string, agent *exec.Cmd) {
		if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}, []int{143}},
	{"kill-9", nil, func(t *testing.T, _ *server, run string, agent *exec.Cmd) {
		eventually(t, "the watcher is there", func() bool { return len(living("stint-watcher\x00STINT_RUN_ID="+run)) > 0 })
		if err := agent.Process.Kill(); err != nil {
			t.Error(err)
		}
	}, []int{137}},
}

// containments are the users who run the agent, and the levels of containment. What an ordinary
// user gets by itself is the last one, unless somebody delegated cgroups.
func containments() (all []containment) {
	own := fmt.Sprintf("uid-%d", os.Getuid())
	if os.Getuid() != 0 {
		return []containment{{own + "/auto", "auto", nil}}
	}
	for _, level := range []string{"auto", "cgroup1", "process-group"} {
		all = append(all, containment{own + "/" + level, level, nil})
	}
	return append(all, containment{"uid-65534/auto", "auto", &syscall.Credential{Uid: 65534, Gid: 65534}})
}

type containment struct {
	name, level string
	id          *syscall.Credential
}

// holds reports whether it is promised that an agent which is killed leaves nothing, not
// even what took off the mark: docs/adr/0003-containment.md.
func (c containment) holds() bool {
	return c.id == nil && os.Getuid() == 0 && c.level != "process-group"
}

// Whatever the job does and however the attempt ends, nothing of it is left, at every level
// of containment, as root and as an ordinary user.
func TestNothingIsLeftOfEvilJobs(t *testing.T) {
	s := startServer(t)
	dir, err := os.MkdirTemp("/tmp", "stint-evil-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(stintAgent)
	if err != nil {
		t.Fatal(err)
	}
	agent := filepath.Join(dir, "stint-agent")
	if err := os.WriteFile(agent, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	number, token := 0, s.token("agent")
	for _, contained := range containments() {
		for _, e := range evil {
			for _, ending := range endings {
				if ending.name == "kill-9" && e.name == "without-the-mark" && !contained.holds() {
					continue
				}
				number++
				c := evilCase{
					agent: agent, dir: filepath.Join(dir, fmt.Sprint(number)), id: contained.id, level: contained.level, script: e.script, token: token,
					nap: fmt.Sprintf("1000.%06d%04d", os.Getpid(), number),
					run: fmt.Sprintf("0193c000-0000-7000-8000-%08d%04d", os.Getpid(), number),
				}
				t.Run(contained.name+"/"+e.name+"/"+ending.name, func(t *testing.T) {
					t.Parallel()
					code := c.play(t, s, ending.name == "by-itself", ending.flags, ending.end)
					if !slices.Contains(ending.codes, code) {
						t.Errorf("exit code %d, want one of %v", code, ending.codes)
					}
				})
			}
		}
	}
}

type evilCase struct {
	agent, dir, level, script, nap, run, token string
	id                                         *syscall.Credential
}

// play runs the case to its end, looks for what is left, and returns the exit code.
func (c evilCase) play(t *testing.T, s *server, itself bool, flags []string, end func(*testing.T, *server, string, *exec.Cmd)) int {
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if c.id != nil {
		if err := os.Chown(c.dir, int(c.id.Uid), int(c.id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	script := strings.ReplaceAll(c.script, "NAP", c.nap) + "\n: >up\n"
	if !itself {
		script += "exec sleep " + c.nap
	}
	args := append([]string{"run", "--server", s.url, "--quiet", "--run-id", c.run, "--dir", c.dir, "--stop-grace", "200ms", "--containment", c.level}, flags...)
	cmd := newHost(t).command(c.agent, append(args, "--", "sh", "-c", script)...)
	cmd.Env = append(cmd.Env, "STINT_STATE="+filepath.Join(c.dir, "state"), "HOME="+c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.id}
	if c.id != nil { // the server trusts its own user alone
		cmd.Env = append(cmd.Env, "STINT_TOKEN="+c.token)
	}
	var printed bytes.Buffer
	cmd.Stderr = &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if end != nil { // a timeout may come before the job is in place, and must be as thorough
		eventually(t, "the job is in place", func() bool { _, err := os.Stat(filepath.Join(c.dir, "up")); return err == nil })
		end(t, s, c.run, cmd)
	}
	_ = cmd.Wait() // the exit code says it
	if r, known := s.find(c.run); known && c.level == "process-group" && r.Containment != "process_group" {
		t.Errorf("contained by %s, although %s was asked for", r.Containment, c.level)
	}
	gone := func() bool { return len(living(c.nap)) == 0 }
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
		eventually(t, "the watcher has killed everything", gone)
	} else if !gone() {
		t.Errorf("left behind: %q; the agent printed: %s", living(c.nap), printed.String())
	}
	return shellCode(cmd.ProcessState)
}

// living are the command lines, of processes other than zombies, which hold a text.
func living(text string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), text) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
