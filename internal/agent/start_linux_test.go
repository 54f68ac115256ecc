package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// A program whose start lasts, because its file system does not answer: whoever asks for a
// stop gets it, and the server hears of the run.
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
				t.Errorf("%+v, said %s", got, messages.text())
			}
			if !strings.Contains(messages.text(), "does not answer") || !strings.Contains(got.Outcome.Message, "does not answer") {
				t.Errorf("%q, said %q", got.Outcome.Message, messages.text())
			}
		})
	}
}
