package e2e

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// asInit is a command whose program is the init of a PID namespace of its own, with a /proc
// that shows no more than that: what a container gives.
func asInit(t *testing.T, h *host, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a PID namespace needs root, and this is an ordinary user")
	}
	cmd := h.command("sh", append([]string{"-c", `mount -t proc proc /proc && exec "$@"`, "sh", stintAgent}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS,
	}
	probe := exec.Command("sh", "-c", "mount -t proc proc /proc")
	probe.SysProcAttr = cmd.SysProcAttr
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("this machine gives no PID namespace with a /proc of its own: %v %s", err, out)
	}
	return cmd
}

// The init of a container reaps orphans that are its own or not, and ends with the job's
// code.
func TestAgentIsTheInitOfAContainer(t *testing.T) {
	s, h := startServer(t), newHost(t)
	cmd := asInit(t, h, "run", "--server", s.url, "--job", "container", "-c", `
		read stat < /proc/1/stat; echo "init: ${stat%%)*})"
		i=0
		while [ $i -lt 40 ]; do
			(setsid sh -c 'exit 3' &)                                # an orphan with the job's mark
			(env -i /usr/bin/setsid /bin/sh -c 'exit 4' &)           # and one without it
			i=$((i+1))
		done
		dead=1
		until [ "$dead" = 0 ]; do
			sleep 0.05
			dead=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' (.*) Z ')
		done
		echo reaped
		exit 7`)
	got := finish(t, cmd)
	if got.code != 7 || !strings.Contains(got.stdout, "init: 1 (stint-agent)\n") || !strings.HasSuffix(got.stdout, "reaped\n") {
		t.Errorf("code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
	wantEnd(t, s.ended("container#1"), job.Failed, job.ExitCode, 7)
}

// docker stop sends SIGTERM to the init: it reaches the job, and the job's answer is the
// run's; SIGUSR1 is passed on before that.
func TestSignalsToTheInitOfAContainer(t *testing.T) {
	s, h := startServer(t), newHost(t)
	cmd := asInit(t, h, "run", "--server", s.url, "--job", "stopped", "-c", `
		trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM
		(setsid sleep 1000 &)
		echo ready; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := map[string]syscall.Signal{"ready": syscall.SIGUSR1, "usr1": syscall.SIGTERM}
	var seen []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		seen = append(seen, lines.Text())
		if sig, ok := answers[lines.Text()]; ok {
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if text := strings.Join(seen, " "); text != "ready usr1 term" || cmd.ProcessState.ExitCode() != 9 {
		t.Errorf("printed %q, code %d", text, cmd.ProcessState.ExitCode())
	}
	if r := s.ended("stopped#1"); r.State != job.Canceled || r.Outcome.Reason != job.AgentStopped {
		t.Errorf("run %+v", r)
	}
}
