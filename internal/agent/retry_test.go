package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/job"
)

// attemptsServer keeps the journal of each attempt apart.
type attemptsServer struct{ *memoryServer }

func attemptName(run string, attempt int) string { return fmt.Sprintf("%s.%d", run, attempt) }

func (s attemptsServer) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return s.memoryServer.Append(ctx, attemptName(run, attempt), attempt, offset, data)
}

func (s attemptsServer) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	return s.memoryServer.AppendFrom(ctx, attemptName(run, attempt), attempt, offset, size, src)
}

func retrying(t *testing.T, script string, r retry.Policy) (attemptsServer, Config, *says) {
	t.Helper()
	s := attemptsServer{newMemoryServer()}
	c, messages := config(t, s, script)
	c.Retry = r
	return s, c, messages
}

func TestRetriesInPlace(t *testing.T) {
	s, c, messages := retrying(t, `echo "attempt $STINT_ATTEMPT"; test "$STINT_ATTEMPT" = 3`, retry.Policy{Most: 5, Backoff: 10 * time.Millisecond})
	got := Supervise(t.Context(), c)
	if got.ExitCode != 0 || got.Outcome.State != job.Succeeded {
		t.Fatalf("result %+v, messages %s", got, messages.text())
	}
	for n := 1; n <= 3; n++ {
		v := s.read(t, attemptName(testRun, n))
		if v.attempt.Attempt != n || string(v.output[streamKey{0, job.Stdout}]) != fmt.Sprintf("attempt %d\n", n) || (v.final.Outcome.RetryAt != nil) != (n < 3) {
			t.Errorf("attempt %d: %+v %+v", n, v.attempt, v.final.Outcome)
		}
	}
	if text := messages.text(); !strings.Contains(text, "Attempt 2 begins now (5 left)") || !strings.Contains(text, "Attempt 3 begins now (4 left)") {
		t.Errorf("messages %s", text)
	}
	if left, _ := os.ReadDir(c.StateDir + "/spool"); len(left) != 0 {
		t.Errorf("the spool still holds %v", left)
	}
}

func TestRetriesAreUsedUp(t *testing.T) {
	s, c, _ := retrying(t, "exit 7", retry.Policy{Most: 1, Backoff: time.Millisecond})
	if got := Supervise(t.Context(), c); got.ExitCode != 7 {
		t.Fatalf("result %+v", got)
	}
	if v := s.read(t, attemptName(testRun, 2)); v.final.Outcome.RetryAt != nil {
		t.Errorf("the last attempt announces another: %+v", v.final.Outcome)
	}
	s.set(func() {
		if len(s.journals) != 2 {
			t.Errorf("%d attempts", len(s.journals))
		}
	})
}

// A cancel, or a signal to the agent, while it waits ends the waiting.
func TestWaitingForTheNextAttemptCanBeEnded(t *testing.T) {
	t.Run("cancel", func(t *testing.T) {
		s, c, _ := retrying(t, "exit 7", retry.Policy{Most: 5, Backoff: time.Hour})
		s.reply.Commands = nil
		done := make(chan Result, 1)
		go func() { done <- Supervise(t.Context(), c) }()
		s.wait(t, func() bool { return len(s.beats) > 0 && s.beats[len(s.beats)-1].WaitingMS > 0 })
		s.set(func() { s.reply.Commands = []job.Command{{Kind: "cancel", By: "ada"}} })
		if got := <-done; got.ExitCode != 143 || got.Signal != 0 {
			t.Errorf("result %+v", got)
		}
	})
	t.Run("signal", func(t *testing.T) {
		_, c, messages := retrying(t, "exit 7", retry.Policy{Most: 5, Backoff: time.Hour})
		c.Server = nil
		signals := make(chan os.Signal, 1)
		c.Signals = signals
		print, waits := c.Print, make(chan struct{})
		c.Print = func(line string) {
			print(line)
			if strings.Contains(line, "Attempt 2 begins") {
				close(waits)
			}
		}
		done := make(chan Result, 1)
		go func() { done <- Supervise(t.Context(), c) }()
		<-waits
		signals <- syscall.SIGTERM
		if got := <-done; got.ExitCode != 143 || got.Signal != syscall.SIGTERM || !strings.Contains(messages.text(), "asked to stop") {
			t.Errorf("result %+v, messages %s", got, messages.text())
		}
	})
}

// While a reader takes the output of an attempt, heartbeats say that the agent waits for the
// next one, however late that will be. A cancel that comes meanwhile prevents it.
func TestAnAttemptThatWaitsForTheReader(t *testing.T) {
	for _, canceled := range []bool{false, true} {
		s, c, _ := retrying(t, `test "$STINT_ATTEMPT" = 2 || { head -c 300000 /dev/zero; exit 7; }`, retry.Policy{Most: 1, Backoff: time.Millisecond})
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c.Quiet, c.Stdout, c.HeartbeatPeriod = false, w, 20*time.Millisecond
		done := make(chan Result, 1)
		go func() { done <- Supervise(t.Context(), c); _ = w.Close() }()
		waits := 0
		s.wait(t, func() bool {
			waits = 0
			for _, b := range s.beats {
				if b.WaitingMS > 0 {
					waits++
				}
			}
			return waits > 3
		})
		if canceled {
			s.set(func() {
				s.beats, s.reply.Commands = nil, []job.Command{{Kind: "cancel", By: "ada"}}
			})
			s.wait(t, func() bool { return len(s.beats) > 2 })
		}
		if n, err := io.Copy(io.Discard, r); n != 300000 || err != nil {
			t.Errorf("%d bytes passed on, %v", n, err)
		}
		got := result(t, done)
		s.mu.Lock()
		attempts := len(s.journals)
		s.mu.Unlock()
		switch {
		case !canceled && (got.ExitCode != 0 || attempts != 2):
			t.Errorf("result %+v after %d attempts", got, attempts)
		case canceled && (got.ExitCode != 143 || attempts != 1):
			t.Errorf("canceled while the reader took its time: %+v after %d attempts", got, attempts)
		}
	}
}

func TestARetryThatIsAskedFor(t *testing.T) {
	s, c, _ := retrying(t, `test "$STINT_ATTEMPT" = 2`, retry.Policy{Wait: time.Hour})
	done := make(chan Result, 1)
	go func() { done <- Supervise(t.Context(), c) }()
	s.wait(t, func() bool { return len(s.beats) > 0 && s.beats[len(s.beats)-1].WaitingMS > 0 })
	s.set(func() { s.reply.Commands = []job.Command{{Kind: "retry", By: "ada", Attempt: 2}} })
	if got := <-done; got.ExitCode != 0 {
		t.Errorf("result %+v", got)
	}
	if v := s.read(t, attemptName(testRun, 2)); v.attempt.Attempt != 2 || v.final.Outcome.State != job.Succeeded {
		t.Errorf("second attempt: %+v", v.final)
	}
	// An old command for an earlier attempt has no effect.
	_, c, _ = retrying(t, "exit 7", retry.Policy{Wait: 200 * time.Millisecond})
	c.Server.(attemptsServer).reply.Commands = []job.Command{{Kind: "retry", Attempt: 1}}
	if got := Supervise(t.Context(), c); got.ExitCode != 7 {
		t.Errorf("result %+v", got)
	}
}
