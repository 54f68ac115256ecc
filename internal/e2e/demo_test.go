package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// The first command of the README: a real job through a real server, described to a person; and one that the
// server starts, and starts again on another worker after the first one was killed.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the demo takes a minute and a half")
	}
	h := newHost(t)
	got := h.run("demo", "--exit", "--listen", "127.0.0.1:0")
	if got.code != 0 {
		t.Fatalf("stint demo: %+v", got)
	}
	for _, want := range []string{
		"http://127.0.0.1:", "stint logs", "searching", "100 %", "✓ succeeded", "complete",
		"job: report", "created    report", "east", "report#1", "goes down", "because attempt 1 was lost", "attempt 2 succeeded",
	} {
		if !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if !regexp.MustCompile(`\r[^\n]*25 %`).MatchString(got.stdout + got.stderr) {
		t.Error("no progress bar that rewrites its line")
	}
	if strings.Contains(got.stdout+got.stderr, "goroutine ") {
		t.Error("stack trace")
	}
}
