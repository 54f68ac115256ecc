package e2e

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// Without a /proc, or with that of another PID namespace, the job is stopped all the same, and
// nothing is left of it.
func TestStopWithoutProc(t *testing.T) {
	t.Parallel()
	if why := cannotUnshare(); why != "" {
		t.Skip(why)
	}
	none := syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	foreign := syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	const hide = "mount -t tmpfs none /proc; "
	s := startServer(t)
	for _, c := range []struct {
		name, enter, containment string
		attr                     syscall.SysProcAttr
	}{
		{"none", hide, "auto", none},
		{"foreign", "", "auto", foreign},
		{"foreign-group", "", "process-group", foreign},
		{"foreign-cgroup1", "", "cgroup1", foreign},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			run := func(name string, args ...string) result {
				t.Helper()
				cmd := withoutProc(h, t.TempDir(), c.enter, c.attr, append([]string{"--job", name, "--server", s.url, "--containment", c.containment}, args...)...)
				return finish(t, cmd)
			}
			name := "stop-" + c.name
			got := run(name, "--timeout", "1s", "--stop-grace", "5s", "-c", `echo $$ >pid; trap 'echo term; exit 9' TERM; while :; do sleep 0.1; done`)
			if got.code != 124 || got.stdout != "term\n" {
				t.Errorf("a time limit: %+v", got)
			}
			wantEnd(t, s.ended(name+"#1"), job.TimedOut, job.Timeout, 9)
			got = run("kill-"+c.name, "--timeout", "1s", "--stop-grace", "1ms", "-c", `trap '' TERM; (trap '' TERM; sleep 1000) & echo $! >pid; sleep 1000`)
			if got.code != 124 || got.stdout != "" {
				t.Errorf("a job that ignores the stop: %+v", got)
			}
			name = "left-" + c.name
			got = run(name, "-c", `sleep 1000 & echo $! >pid; exit 3`)
			if got.code != 3 || got.stdout != "" {
				t.Errorf("a process that is left behind: %+v", got)
			}
			r := s.ended(name + "#1")
			wantEnd(t, r, job.Failed, job.ExitCode, 3)
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "the job's processes cannot be listed") {
				t.Errorf("notes: %s", notes)
			}
		})
	}
}

// withoutProc is a command that runs the agent and prints "alive" if the process whose number
// the job has written to the file pid outlives it.
func withoutProc(h *host, dir, enter string, attr syscall.SysProcAttr, args ...string) *exec.Cmd {
	const after = `"$@"; code=$?; kill -0 "$(cat pid)" 2>/dev/null && echo alive; exit $code`
	cmd := h.command("sh", append([]string{"-c", "set -e; " + enter + "set +e; " + after, "sh", stintAgent, "run"}, args...)...)
	cmd.Dir, cmd.SysProcAttr = dir, &attr
	return cmd
}

// Without a /dev/null, as in a bare chroot, the job runs, and its stdin is at its end.
func TestRunWithoutDevNull(t *testing.T) {
	if why := cannotUnshare(); why != "" {
		t.Skip(why)
	}
	s, h := startServer(t), newHost(t)
	for name, args := range map[string][]string{"inherited": nil, "none": {"--no-stdin"}, "install": {"--install", "cat"}} {
		words := append([]string{"-c", `mount -t tmpfs none /dev && exec "$@"`, "sh", stintAgent, "run", "--job", name, "--server", s.url}, args...)
		cmd := h.command("sh", append(words, "-c", "cat; echo ran; exit 3")...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if got := finish(t, cmd); got.code != 3 || got.stdout != "ran\n" {
			t.Errorf("stdin %s: %+v", name, got)
		}
		wantEnd(t, s.ended(name+"#1"), job.Failed, job.ExitCode, 3)
	}
}
