package agent

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/job"
)

// suspendable lets a test be the system: stopped gets the signal by which the agent has
// suspended itself, and what is sent to goOn continues it.
func suspendable(c *Config) (signals chan os.Signal, stopped <-chan syscall.Signal, goOn chan<- struct{}) {
	signals = make(chan os.Signal, 8)
	stop, cont := make(chan syscall.Signal), make(chan struct{})
	c.Signals = signals
	c.SuspendSelf = func(sig syscall.Signal) {
		stop <- sig
		<-cont
		signals <- syscall.SIGCONT
	}
	return signals, stop, cont
}

// waitStopped returns when a process stands still. D is that of one that waits for a child to begin.
func waitStopped(t *testing.T, pid string) {
	t.Helper()
	poll, limit := time.NewTicker(time.Millisecond), time.NewTimer(20*time.Second)
	defer poll.Stop()
	defer limit.Stop()
	for {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if after[0] == 'T' || after[0] == 'D' {
			return
		}
		select {
		case <-poll.C:
		case <-limit.C:
			t.Fatalf("process %s is in state %c", pid, after[0])
		}
	}
}

// A suspension is reported to the server, the job is stopped and no heartbeat is sent; then
// both go on. The limit on silence does not count that time, the time limit does.
func TestSuspend(t *testing.T) {
	for name, tc := range map[string]struct {
		set    func(*Config)
		state  job.State
		reason job.Reason
	}{
		"no limit":    {func(*Config) {}, job.Succeeded, job.ExitCode},
		"no output":   {func(c *Config) { c.NoOutputTimeout = 3 * time.Second }, job.Succeeded, job.ExitCode},
		"no progress": {func(c *Config) { c.NoProgressTimeout = 3 * time.Second }, job.Succeeded, job.ExitCode},
		"time limit":  {func(c *Config) { c.Timeout = 3 * time.Second }, job.TimedOut, job.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, "trap 'go=1' CONT; echo $$ ready; while [ -z \"$go\" ]; do sleep 0.05; done")
			parallel(t, &c)
			tc.set(&c)
			signals, stopped, goOn := suspendable(&c)
			done := running(t, s, c)
			s.wait(t, func() bool { return len(s.beats) > 0 })
			signals <- syscall.SIGTSTP
			if sig := <-stopped; sig != syscall.SIGTSTP {
				t.Errorf("suspended by %v", sig)
			}
			pid, _, _ := strings.Cut(string(s.read(t, c.Run).output[streamKey{0, job.Stdout}]), " ")
			waitStopped(t, pid)
			var before int
			s.set(func() {
				before = len(s.beats)
				if !s.beats[before-1].Suspended {
					t.Errorf("the last beat is %+v", s.beats[before-1])
				}
			})
			<-time.After(3500 * time.Millisecond)
			s.set(func() {
				if len(s.beats) != before {
					t.Errorf("%d beats while suspended", len(s.beats)-before)
				}
			})
			goOn <- struct{}{}
			got := result(t, done)
			if got.Outcome.State != tc.state || got.Outcome.Reason != tc.reason {
				t.Errorf("%+v, messages %s", got, messages.text())
			}
			if last := s.beats[len(s.beats)-1]; last.Suspended {
				t.Errorf("the last beat of all is %+v", last)
			}
		})
	}
}

// A time limit that has passed while the job was suspended, and a stop request that came
// meanwhile, reach the job before it is continued: it may have no time left to notice them.
func TestDueBeforeContinued(t *testing.T) {
	const script = `trap 'echo went on; exit 0' CONT; trap 'echo asked; exit 7' TERM; echo $$ ready; while :; do :; done`
	for name, tc := range map[string]struct {
		limit  time.Duration
		sent   []os.Signal // while suspended
		reason job.Reason
	}{
		"time limit":   {2 * time.Second, nil, job.Timeout},
		"stop request": {0, []os.Signal{syscall.SIGTERM}, job.AgentStopped},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, script)
			c.Timeout = tc.limit
			signals := make(chan os.Signal, 8)
			c.Signals = signals
			c.SuspendSelf = func(syscall.Signal) {
				for _, sig := range tc.sent {
					signals <- sig
				}
				<-time.After(tc.limit)
				signals <- syscall.SIGCONT
			}
			done := running(t, s, c)
			s.wait(t, func() bool { return len(s.beats) > 0 })
			signals <- syscall.SIGTSTP
			got := result(t, done)
			printed := string(s.read(t, c.Run).output[streamKey{0, job.Stdout}])
			if got.Outcome.Reason != tc.reason || strings.Contains(printed, "went on") || !strings.Contains(printed, "asked") {
				t.Errorf("%+v, the job printed %q, messages %s", got, printed, messages.text())
			}
		})
	}
}

// A SIGCONT that comes while the last heartbeat is on its way keeps the agent from being
// suspended; a stop request that comes meanwhile is acted on afterwards.
func TestContinuedBeforeItIsSuspended(t *testing.T) {
	s := newMemoryServer()
	slow := &slowBeats{memoryServer: s, came: make(chan struct{}), answer: make(chan struct{})}
	c, _ := config(t, slow, "echo ready; exec sleep 60")
	signals, stopped, _ := suspendable(&c)
	done := running(t, s, c)
	s.wait(t, func() bool { return len(s.beats) > 0 })
	signals <- syscall.SIGTSTP
	<-slow.came
	signals <- syscall.SIGTERM
	signals <- syscall.SIGCONT
	select {
	case got := <-done:
		if got.Signal != syscall.SIGTERM {
			t.Errorf("%+v", got)
		}
	case sig := <-stopped:
		t.Errorf("suspended by %v", sig)
	case <-time.After(20 * time.Second):
		t.Fatal("the attempt did not end")
	}
	close(slow.answer)
}

// slowBeats does not answer a beat that says that the agent is suspended.
type slowBeats struct {
	*memoryServer
	came, answer chan struct{}
}

func (s *slowBeats) Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	if hb.Suspended {
		close(s.came)
		select {
		case <-s.answer:
		case <-ctx.Done():
		}
	}
	return s.memoryServer.Beat(ctx, run, attempt, hb)
}

// A real agent gets signals of job control without a pause between them, in any order: the last one
// decides, and the job goes on.
func TestJobControlInAnyOrder(t *testing.T) {
	cmd := exec.Command(os.Args[0], t.TempDir())
	cmd.Env = append(os.Environ(), "AGENT_TEST_CHILD=suspend")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	send := func(sig syscall.Signal) {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func(limit time.Duration) bool {
		select {
		case <-lines:
			return true
		case <-time.After(limit):
			return false
		}
	}
	if !goesOn(30 * time.Second) {
		t.Fatal("the job does not begin")
	}
	// On a busy host a thread that handles a signal may be interrupted before its handler begins, and the
	// order is not known then. That is rare.
	wrong, rounds := 0, 0
	for _, gap := range []time.Duration{0, 50 * time.Microsecond, 500 * time.Microsecond} {
		for _, seq := range sequences(syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGHUP) {
			last := syscall.SIGCONT
			for _, sig := range seq {
				send(sig)
				if sig != syscall.SIGHUP {
					last = sig
				}
				for begun := time.Now(); time.Since(begun) < gap; { // shorter than a timer can wait
				}
			}
			rounds++
			if last == syscall.SIGTSTP {
				if !isStoppedWithin(t, pid, 10*time.Second) {
					t.Logf("after %v the agent is not suspended", seq)
					wrong++
				}
				send(syscall.SIGCONT)
			}
			send(syscall.SIGWINCH) // reaches the job, which prints a line
			if !goesOn(10 * time.Second) {
				t.Logf("after %v the job does not go on", seq)
				wrong++
				send(syscall.SIGCONT)
				if !goesOn(30 * time.Second) {
					t.Fatal("it cannot be continued")
				}
			}
		}
	}
	if most := 2; wrong > most {
		t.Errorf("the last signal did not count in %d of %d rounds", wrong, rounds)
	}
	send(syscall.SIGTERM)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Signaled() && !status.Exited() {
		t.Errorf("%#x, %v", status, err)
	}
}

// isStoppedWithin reports whether a process is stopped before a limit.
func isStoppedWithin(t *testing.T, pid int, limit time.Duration) bool {
	t.Helper()
	poll, end := time.NewTicker(time.Millisecond), time.NewTimer(limit)
	defer poll.Stop()
	defer end.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, after, _ := strings.Cut(string(stat), ") "); after[0] == 'T' {
			return true
		}
		select {
		case <-poll.C:
		case <-end.C:
			return false
		}
	}
}

// Between attempts and while a journal is delivered the agent is suspended alone.
func TestSuspendWhileNoJobRuns(t *testing.T) {
	for _, p := range phases() {
		if p.job || p.name == "clear-up" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			s, c, messages := retrying(t, "exit 7", retry.Policy{Most: 3, Backoff: time.Hour})
			parallel(t, &c)
			c.FlushTimeout = time.Hour
			reached := p.set(t, s, &c, messages)
			signals, stopped, goOn := suspendable(&c)
			done := make(chan Result, 1)
			go func() { done <- Supervise(t.Context(), c) }()
			reached()
			for range 2 {
				signals <- syscall.SIGTSTP
				<-stopped
				goOn <- struct{}{}
			}
			signals <- syscall.SIGTERM
			if got := result(t, done); got.ExitCode != p.code {
				t.Errorf("%+v, messages %s", got, messages.text())
			}
		})
	}
}

// The event of the SIGCONT that ended a suspension may come late, once. Another one is the job's.
func TestLateContinue(t *testing.T) {
	now := time.Unix(1000, 0)
	a := &attempt{continueBy: now.Add(time.Second)}
	if !a.isLateContinue(now) || a.isLateContinue(now) {
		t.Error("not the first SIGCONT, and only that, belongs to the suspension")
	}
	a.continueBy = now
	if a.isLateContinue(now) {
		t.Error("a SIGCONT long after the suspension belongs to it")
	}
}
