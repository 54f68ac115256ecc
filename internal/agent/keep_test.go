package agent

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// What is left on purpose lives on after the agent's work is done, is listed, and cannot
// hold up the end although it holds stdout open.
func TestKeepBackground(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "sleep 300 & echo $!")
	c.KeepBackground = true
	begun := time.Now()
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	pid, err := strconv.Atoi(strings.TrimSpace(string(v.output[streamKey{0, job.Stdout}])))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("what was left on purpose is gone: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v (%v) and not by the kill here", status, err)
	}
	if took := time.Since(begun); took > drainLimit {
		t.Errorf("the end took %s", took)
	}
	if got.ExitCode != 0 || !got.Complete {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	notes := strings.Join(v.notes, "\n")
	if !strings.Contains(notes, "left running on purpose: left 1 process: sleep pid "+strconv.Itoa(pid)) ||
		!strings.Contains(notes, "what was left running still holds stdout open") {
		t.Errorf("notes %q", notes)
	}
}

// A stop is a stop: it reaches what would have been left.
func TestKeepBackgroundEndsAtAStop(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "sleep 300 & echo $!; echo ready; wait")
	signals := make(chan os.Signal, 1)
	c.KeepBackground, c.Signals = true, signals
	done := running(t, s, c)
	signals <- syscall.SIGTERM
	got := result(t, done)
	line, _, _ := strings.Cut(string(s.read(t, testRun).output[streamKey{0, job.Stdout}]), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the background process lives on after a stop")
	}
	if got.Outcome.Reason != job.AgentStopped {
		t.Errorf("result %+v", got)
	}
}

func TestStopSignal(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "trap 'echo asked; exit 9' USR1; trap 'echo wrong' TERM; echo ready; while :; do sleep 0.05; done")
	signals := make(chan os.Signal, 1)
	c.StopSignal, c.Signals = syscall.SIGUSR1, signals
	done := running(t, s, c)
	signals <- syscall.SIGTERM
	got := result(t, done)
	out := string(s.read(t, testRun).output[streamKey{0, job.Stdout}])
	if out != "ready\nasked\n" || got.Outcome.State != job.Canceled || got.Outcome.Reason != job.AgentStopped {
		t.Errorf("printed %q, result %+v", out, got)
	}
}
