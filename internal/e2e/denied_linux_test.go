package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// becomeRoot plays a program with the setuid bit that becomes root, as sudo does.
func becomeRoot() int {
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("root")
	<-time.After(patience)
	return 0
}

// copyForAll copies a program to where every user can start it.
func copyForAll(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	program, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, program, 0o755)
	}
	if err == nil {
		err = os.Chmod(to, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ordinaryUser makes a directory with the agent's program and a state directory that an ordinary
// user, uid 65534, can use, and returns the command of stint-agent for that user, with a token.
func ordinaryUser(t *testing.T, s *server) (dir string, command func(args ...string) *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	dir, err := os.MkdirTemp("/tmp", "stint-denied-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	agent, state := filepath.Join(dir, "stint-agent"), filepath.Join(dir, "state")
	copyForAll(t, stintAgent, agent, 0o755)
	for _, d := range []string{dir, state} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	return dir, func(args ...string) *exec.Cmd {
		run := newHost(t).command(agent, args...)
		run.Env = append(run.Env, "STINT_STATE="+state, "HOME="+dir, "STINT_TOKEN="+s.token("agent"))
		run.Dir = dir
		run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return run
	}
}

// Limits that cannot be set are named on stderr once, as the user gave them, and doctor names the
// same.
func TestLimitsThatAreNotEnforced(t *testing.T) {
	s := startServer(t)
	_, command := ordinaryUser(t, s)
	run := command("run", "--server", s.url, "--job", "limits", "--cpu-limit", "0.50", "--retries", "1", "--retry-backoff", "0s", "--", "sh", "-c", "exit 4")
	run.Env = append(run.Env, "STINT_MEMORY_LIMIT=50M")
	got := finish(t, run)
	const names = "STINT_MEMORY_LIMIT=50M and --cpu-limit 0.50 are not enforced: "
	if got.code != 4 || strings.Count(got.stderr, names) != 1 || strings.Count(got.stderr, "not enforced") != 1 {
		t.Errorf("%+v", got)
	}
	show := newHost(t).run("show", "--server", s.url, "limits#1").stdout
	for _, name := range []string{"STINT_MEMORY_LIMIT=50M", "--cpu-limit 0.50"} {
		if strings.Count(show, name+" is not enforced: ") != 1 {
			t.Errorf("the run does not say once that %s is not enforced: %s", name, show)
		}
	}
	doctor := command("doctor", "--server", s.url, "--cpu-limit", "0.50")
	doctor.Env = append(doctor.Env, "STINT_MEMORY_LIMIT=50M")
	if got := finish(t, doctor); !strings.Contains(got.stdout, "STINT_MEMORY_LIMIT=50M is not enforced: ") || !strings.Contains(got.stdout, "--cpu-limit 0.50 is not enforced: ") {
		t.Errorf("%+v", got)
	}
	if got := finish(t, command("doctor", "--server", s.url)); !strings.Contains(got.stdout, "--memory-limit is not enforced: ") || strings.Contains(got.stdout, "TiB") {
		t.Errorf("%+v", got)
	}
}

// A limit on the address space that is too small for the agent is found by doctor.
func TestDoctorFindsASmallAddressSpace(t *testing.T) {
	s := startServer(t)
	_, command := ordinaryUser(t, s)
	doctor := command("doctor", "--server", s.url)
	doctor.Args = append([]string{"sh", "-c", `ulimit -v 1800000; exec "$@"`, "sh", doctor.Path}, doctor.Args[1:]...)
	doctor.Path = "/bin/sh"
	const want = "the address space is limited to 1.72 GiB (ulimit -v, RLIMIT_AS), and with less than 2 GB stint run may not start"
	if got := finish(t, doctor); got.code != 1 || !strings.Contains(got.stdout, want) {
		t.Errorf("%+v", got)
	}
}

// A job that became root under the agent of an ordinary user cannot be killed: one line
// on stderr names it at once and says what to do; the run says that it could not be stopped.
func TestJobThatMayNotBeStopped(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	dir, command := ordinaryUser(t, s)
	program := filepath.Join(dir, "becomesroot")
	copyForAll(t, os.Args[0], program, 0o755|os.ModeSetuid)
	run := command("run", "--server", s.url, "--job", "denied", "--timeout", "1s", "--stop-grace", "1s", "--retries", "3", "--env", "E2E_BECOME_ROOT=1", "--", program)
	got := finish(t, run)
	r := s.ended("denied#1")
	pid := fmt.Sprint(r.Steps[0].PID)
	if err := syscall.Kill(r.Steps[0].PID, syscall.SIGKILL); err != nil {
		t.Errorf("the job does not live on: %v", err)
	}
	if got.code != 124 || got.stdout != "root\n" || r.State != job.TimedOut || r.Attempt != 1 {
		t.Errorf("%+v, the run is %s", got, r.State)
	}
	if !strings.Contains(r.Outcome.Message, "could not be stopped: becomesroot (pid "+pid+") runs as root") {
		t.Errorf("message %q", r.Outcome.Message)
	}
	if n := strings.Count(got.stderr, "sudo kill "+pid); n != 1 {
		t.Errorf("printed %d times: %s", n, got.stderr)
	}
	show := newHost(t).run("show", "--server", s.url, "denied#1").stdout
	if n := len(regexp.MustCompile(`note +the kill did not reach`).FindAllString(show, -1)); n != 1 {
		t.Errorf("%d notes: %s", n, show)
	}
}
