package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// frozen makes a group of the freezer of cgroup v1: what it holds frozen does not die of
// SIGKILL, as nothing does that waits inside the kernel.
func frozen(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/cgroup/freezer", "stint-test-")
	if err != nil {
		t.Skipf("nothing can be frozen here: %v", err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(dir+"/freezer.state", []byte("THAWED"), 0); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(20 * time.Second); ; { // until the kernel has counted it out
			err := syscall.Rmdir(dir)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Errorf("remove %s: %v", dir, err)
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	})
	return dir
}

// What cannot be killed is named once on stderr and once in the run. The run ends, and no other
// attempt begins beside it.
func TestProcessThatCannotBeKilled(t *testing.T) {
	for name, tc := range map[string]struct {
		set     func(*Config)
		signals []syscall.Signal
		code    int
		die     syscall.Signal
		message string
	}{
		"time limit": {func(c *Config) { c.Timeout = time.Second }, nil, 124, 0, "Ran into its time limit of 1 s and could not be stopped: "},
		"four requests": {
			func(*Config) {},
			[]syscall.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM},
			143, syscall.SIGTERM, "The agent was asked to end by signal SIGTERM, and could not stop the job: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := frozen(t)
			s := attemptsServer{newMemoryServer()}
			c, messages := config(t, s, "echo $$ > "+dir+"/tasks; echo ready; echo FROZEN > "+dir+"/freezer.state; sleep 60")
			parallel(t, &c)
			signals := make(chan os.Signal, 4)
			c.Signals, c.Containment, c.StopGrace = signals, contain.LevelProcessGroup, 200*time.Millisecond
			c.Retry = retry.Policy{Most: 3, Backoff: time.Millisecond}
			tc.set(&c)
			done := make(chan Result, 1)
			go func() { done <- Supervise(t.Context(), c) }()
			seen(t, s, &c, "ready\n")()
			for i, sig := range tc.signals {
				if i == 1 {
					<-time.After(1100 * time.Millisecond)
				}
				signals <- sig
			}
			got := result(t, done)
			v := s.read(t, attemptName(c.Run, 1))
			who := "sh pid " + strconv.Itoa(v.started[0].PID) + " did not die of SIGKILL"
			if got.ExitCode != tc.code || got.Signal != tc.die || got.Outcome.ExitCode != nil || got.Outcome.Message != tc.message+who+"." {
				t.Errorf("%+v", got)
			}
			if n := strings.Count(messages.text(), "could not be stopped: "+who); n != 1 || len(s.journals) != 1 {
				t.Errorf("%d attempts; messages %d times: %s", len(s.journals), n, messages.text())
			}
			if n := strings.Count(strings.Join(v.notes, "\n"), "could not be stopped: "+who); n != 1 {
				t.Errorf("noted %d times: %q", n, v.notes)
			}
		})
	}
}

// The end of a start that is given up is not the end of what an install step has left behind:
// that is killed.
func TestLeftoverBesideAStartThatIsGivenUp(t *testing.T) {
	dir, _ := deadfs.Mount(t)
	s := newMemoryServer()
	c, messages := config(t, s, "")
	pid := filepath.Join(c.Dir, "pid")
	c.Install = []string{`trap '' TERM; (while :; do sleep 0.1; done) & echo $! > pid`}
	c.Args, c.StopGrace = []string{filepath.Join(dir, "program")}, 200*time.Millisecond
	signals := make(chan os.Signal, 1)
	c.Signals = signals
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	s.wait(t, func() bool { return strings.Contains(string(s.journals[c.Run]), "Exited with code 0.") })
	signals <- syscall.SIGTERM
	got := result(t, done)
	if got.ExitCode != 143 || got.Outcome.Reason != job.AgentStopped {
		t.Errorf("%+v, messages %s", got, messages.text())
	}
	left, err := strconv.Atoi(strings.TrimSpace(readAll(t, pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(left, 0); err != syscall.ESRCH {
		t.Errorf("process %d of the install step: %v", left, err)
	}
}
