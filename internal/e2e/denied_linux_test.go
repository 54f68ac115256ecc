package e2e

import (
	"fmt"
	"os"
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

// A job that became root under the agent of an ordinary user cannot be killed: a person is
// told at once, and once, who it is and what to do; the run says that it could not be stopped.
func TestJobThatMayNotBeStopped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a program that becomes root")
	}
	s := startServer(t)
	dir, err := os.MkdirTemp("/tmp", "stint-denied-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	agent, program := filepath.Join(dir, "stint-agent"), filepath.Join(dir, "becomesroot")
	copyForAll(t, stintAgent, agent, 0o755)
	copyForAll(t, os.Args[0], program, 0o755|os.ModeSetuid)
	for _, d := range []string{dir, filepath.Join(dir, "state")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(dir, "state"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	run := newHost(t).command(agent, "run", "--server", s.url, "--job", "denied", "--timeout", "1s", "--stop-grace", "1s", "--retries", "3", "--env", "E2E_BECOME_ROOT=1", "--", program)
	run.Env = append(run.Env, "STINT_STATE="+filepath.Join(dir, "state"), "HOME="+dir, "STINT_TOKEN="+s.token("agent"))
	run.Dir = dir
	run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
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
		t.Errorf("told %d times: %s", n, got.stderr)
	}
	show := newHost(t).run("show", "--server", s.url, "denied#1").stdout
	if n := len(regexp.MustCompile(`note +the kill did not reach`).FindAllString(show, -1)); n != 1 {
		t.Errorf("%d notes: %s", n, show)
	}
}
