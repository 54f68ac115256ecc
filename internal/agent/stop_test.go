package agent

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// running starts an attempt whose script prints "ready", and returns when the server has
// seen that.
func running(t *testing.T, s *memoryServer, c Config) <-chan Result {
	t.Helper()
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	s.wait(t, func() bool { return strings.Contains(string(s.journals[c.Run]), "ready\n") })
	return done
}

func result(t *testing.T, done <-chan Result) Result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("the attempt did not end within 30 s")
		return Result{}
	}
}

func TestSignalStopsTheJob(t *testing.T) {
	cases := []struct {
		sig    syscall.Signal
		reason job.Reason
		by     string
		exit   int
	}{
		{syscall.SIGTERM, job.AgentStopped, "signal SIGTERM", 143},
		{syscall.SIGINT, job.ByCancel, "signal SIGINT", 130},
	}
	for _, tc := range cases {
		t.Run(tc.sig.String(), func(t *testing.T) {
			s := newMemoryServer()
			c, _ := config(t, s, "echo ready; exec sleep 60")
			signals := make(chan os.Signal, 4)
			c.Signals = signals
			done := running(t, s, c)
			signals <- tc.sig
			got := result(t, done)
			v := s.read(t, testRun)
			if got.Outcome.State != job.Canceled || got.Outcome.Reason != tc.reason || got.Outcome.By != tc.by || got.ExitCode != tc.exit || got.Signal != tc.sig {
				t.Errorf("result %+v", got)
			}
			if len(v.stopping) != 1 || v.stopping[0].Reason != tc.reason {
				t.Errorf("stopping %+v", v.stopping)
			}
		})
	}
}

func TestGraceEndsWithTheKill(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "trap '' TERM; echo ready; while :; do sleep 1; done")
	signals := make(chan os.Signal, 4)
	c.Signals, c.StopGrace = signals, 200*time.Millisecond
	done := running(t, s, c)
	signals <- syscall.SIGTERM
	if got := result(t, done); got.ExitCode != 143 || got.Outcome.Signal != "SIGKILL" || got.Outcome.Reason != job.AgentStopped {
		t.Errorf("result %+v", got)
	}
}

// A signal goes to the command alone: its child, which has no handler, must not die of it.
func TestSignalsArePassedOn(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, `trap 'got="got it"' USR1; echo ready; while [ -z "$got" ]; do sleep 0.2 || got="the child was hit"; done; echo "$got"; exit 5`)
	signals := make(chan os.Signal, 4)
	c.Signals = signals
	done := running(t, s, c)
	signals <- syscall.SIGPIPE // is not the job's business
	signals <- syscall.SIGUSR1
	got := result(t, done)
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; got.ExitCode != 5 || string(out) != "ready\ngot it\n" {
		t.Errorf("result %+v, output %q", got, out)
	}
}

func TestServerCancels(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo ready; exec sleep 60")
	c.HeartbeatPeriod = 20 * time.Millisecond
	done := running(t, s, c)
	s.set(func() { s.reply.Commands = []job.Command{{Kind: "cancel", By: "ada", Why: "wrong data"}} })
	got := result(t, done)
	if o := got.Outcome; o.State != job.Canceled || o.Reason != job.ByCancel || o.By != "ada" || o.Message != "Canceled by ada: wrong data." {
		t.Errorf("outcome %+v", o)
	}
	if hb := s.beats[len(s.beats)-1]; hb.Sequence != int64(len(s.beats)) || hb.PeriodMS == 0 || hb.OutputAgeMS < 0 {
		t.Errorf("heartbeat %+v of %d", hb, len(s.beats))
	}
}

func TestSupersededStops(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo ready; exec sleep 60")
	done := running(t, s, c)
	s.set(func() { s.reply.Owner = false })
	if o := result(t, done).Outcome; o.State != job.Canceled || o.Reason != job.Superseded {
		t.Errorf("outcome %+v", o)
	}
}

func TestContextEndsTheJob(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo ready; exec sleep 60")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result, 1)
	go func() { done <- Run(ctx, c) }()
	s.wait(t, func() bool { return strings.Contains(string(s.journals[c.Run]), "ready\n") })
	cancel()
	if got := result(t, done); got.Outcome.Reason != job.AgentStopped || !got.Complete {
		t.Errorf("result %+v", got)
	}
}

func TestTimeLimits(t *testing.T) {
	cases := map[string]struct {
		set    func(*Config)
		script string
		reason job.Reason
	}{
		"command": {func(c *Config) { c.Timeout = 100 * time.Millisecond }, "while :; do echo x; sleep 0.02; done", job.Timeout},
		"install": {func(c *Config) {
			c.InstallTimeout = 100 * time.Millisecond
			c.Install = []string{"true", "exec sleep 60"}
		}, "echo must not run", job.InstallTimeout},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, _ := config(t, s, tc.script)
			tc.set(&c)
			got := Run(t.Context(), c)
			if got.ExitCode != 124 || got.Outcome.State != job.TimedOut || got.Outcome.Reason != tc.reason {
				t.Errorf("result %+v", got)
			}
			if out := string(s.read(t, testRun).output[streamKey{0, job.Stdout}]); strings.Contains(out, "must not run") {
				t.Error("the command ran after its install timed out")
			}
		})
	}
}

// The time without output counts from the last output, whenever the job got to print it.
func TestNoOutputCountsFromTheLast(t *testing.T) {
	const limit = 500 * time.Millisecond
	s := newMemoryServer()
	c, _ := config(t, s, "for i in 1 2 3 4 5 6; do sleep 0.1; echo $i; done; exec sleep 60")
	c.NoOutputTimeout = limit
	got := Run(t.Context(), c)
	if got.ExitCode != 124 || got.Outcome.State != job.TimedOut || got.Outcome.Reason != job.NoOutput {
		t.Errorf("result %+v", got)
	}
	v := s.read(t, testRun)
	at := func(of journal.Type) (last time.Time) {
		for i, each := range v.order {
			if each == of {
				last = v.times[i]
			}
		}
		return last
	}
	printed, stopped := at(journal.TypeOutput), at(journal.TypeStopping)
	if len(v.output[streamKey{0, job.Stdout}]) == 0 || stopped.Sub(printed) < limit {
		t.Errorf("stopped %s after the last output: %v", stopped.Sub(printed), v.output)
	}
}

func TestSignalBeforeAnythingRuns(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo must not run")
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	c.Signals = signals
	got := Run(t.Context(), c)
	if got.ExitCode != 143 || got.Outcome.ExitCode != nil || len(s.read(t, testRun).started) != 0 {
		t.Errorf("result %+v", got)
	}
}

func TestWhatIsLeftBehindIsNamedAndEnded(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, `sleep 61 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; echo $!; exit 0`)
	begun := time.Now()
	got := Run(t.Context(), c)
	if got.ExitCode != 0 || !got.Complete || time.Since(begun) > 8*time.Second {
		t.Errorf("result %+v after %s", got, time.Since(begun))
	}
	v := s.read(t, testRun)
	pid := strings.TrimSpace(string(v.output[streamKey{0, job.Stdout}]))
	if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, "left 1 process: sleep pid "+pid) {
		t.Errorf("notes %q", notes)
	}
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Errorf("process %s still lives", pid)
	}
}

func TestDaemonOfAnInstallStepServesTheCommand(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo ask > fifo; cat answer; sleep 0.2")
	c.Install = []string{"mkfifo fifo answer; (read x < fifo; echo served; echo $x > answer; exec sleep 60) & echo started"}
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if out := v.output[streamKey{1, job.Stdout}]; got.ExitCode != 0 || string(out) != "ask\n" {
		t.Errorf("result %+v, stdout %q", got, out)
	}
	if out := v.output[streamKey{0, job.Stdout}]; string(out) != "started\nserved\n" {
		t.Errorf("stdout of the install step %q", out)
	}
}
