package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A program whose start lasts, because its file system does not answer: a request for a
// stop is acted on, and the run is reported to the server.
func TestProgramThatDoesNotStart(t *testing.T) {
	for name, tc := range map[string]struct {
		stuck  bool // the start cannot even be killed
		set    func(*Config)
		signal syscall.Signal
		code   int
		die    syscall.Signal
		reason job.Reason
	}{
		"SIGTERM":           {false, func(*Config) {}, syscall.SIGTERM, 143, syscall.SIGTERM, job.AgentStopped},
		"time limit":        {false, func(c *Config) { c.Timeout = 1500 * time.Millisecond }, 0, 124, 0, job.Timeout},
		"silence":           {false, func(c *Config) { c.NoOutputTimeout = 1500 * time.Millisecond }, 0, 124, 0, job.NoOutput},
		"stuck, SIGINT":     {true, func(*Config) {}, syscall.SIGINT, 130, syscall.SIGINT, job.ByCancel},
		"stuck, time limit": {true, func(c *Config) { c.Timeout = 1500 * time.Millisecond }, 0, 124, 0, job.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, "echo must not run > ran; exec sleep 60")
			c.StopGrace = 200 * time.Millisecond
			var release func()
			if tc.stuck {
				answer := make(chan struct{})
				c.BeforeFork = func() func() { <-answer; return func() {} }
				release = func() { close(answer) }
			} else {
				var dir string
				dir, release = deadfs.Mount(t)
				c.Args = []string{filepath.Join(dir, "program")}
			}
			signals := make(chan os.Signal, 1)
			c.Signals = signals
			tc.set(&c)
			done := make(chan Result, 1)
			go func() { done <- Run(t.Context(), c) }()
			s.wait(t, func() bool { return len(s.journals[c.Run]) > 0 })
			if tc.signal != 0 {
				signals <- tc.signal
			}
			got := result(t, done)
			release()
			if got.ExitCode != tc.code || got.Signal != tc.die || got.Outcome.Reason != tc.reason || got.Outcome.ExitCode != nil {
				t.Errorf("%+v, messages %s", got, messages.text())
			}
			if !strings.Contains(messages.text(), "does not answer") || !strings.Contains(got.Outcome.Message, "does not answer") {
				t.Errorf("%q, messages %q", got.Outcome.Message, messages.text())
			}
		})
	}
}

// When the first process begins, the journal's first record is written: whenever the agent is
// killed from then on, the run is known.
func TestRunIsKnownBeforeTheJobBegins(t *testing.T) {
	for range 20 {
		c, messages := config(t, newMemoryServer(), "exit 3")
		var found []byte
		c.BeforeFork = func() func() {
			path := filepath.Join(c.StateDir, "spool", testRun+".1", "journal")
			if text, err := os.ReadFile(path); err == nil && found == nil {
				found = append([]byte{}, text...)
			}
			return func() {}
		}
		if got := Run(t.Context(), c); got.ExitCode != 3 {
			t.Fatalf("result %+v, messages %q", got, messages.text())
		}
		rec, err := journal.Recover(bytes.NewReader(found))
		if err != nil || rec.Attempt.Run != testRun || rec.Torn > 0 {
			t.Fatalf("the job began with a journal of %d bytes: %+v, error %v", len(found), rec, err)
		}
	}
}
