package job_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestProblemTemporary(t *testing.T) {
	for status, want := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 408: true, 409: false, 413: false, 422: false,
		425: true, 429: true, 500: true, 501: false, 502: true, 503: true, 504: true,
	} {
		if got := (&job.Problem{Status: status}).Temporary(); got != want {
			t.Errorf("HTTP %d: Temporary() = %v", status, got)
		}
	}
}

func TestProblemError(t *testing.T) {
	p := &job.Problem{Title: "Not Found", Status: 404}
	if got := p.Error(); got != "Not Found (HTTP 404)" {
		t.Errorf("without a detail: %q", got)
	}
	p.Detail = `run "beef" was not found`
	if got := p.Error(); !strings.HasPrefix(got, p.Detail) || !strings.HasSuffix(got, "(HTTP 404)") {
		t.Errorf("with a detail: %q", got)
	}
}

// Every status has a type of its own kind, and only such types are the server's.
func TestProblemType(t *testing.T) {
	for status := 400; status < 600; status++ {
		p := &job.Problem{Type: job.ProblemType(status), Status: status}
		if !p.FromStint() {
			t.Errorf("HTTP %d has the type %q", status, p.Type)
		}
		switch p.Type {
		case job.ProblemRunIDUsed, job.ProblemRunSubmitted, job.ProblemJournalRefused, job.ProblemRunDeleted, job.ProblemWrongOffset, job.ProblemJournalWhole:
			t.Errorf("HTTP %d alone means %s", status, p.Type)
		}
	}
	for _, other := range []string{"", "about:blank", "urn:stint", "URN:STINT:x", "https://urn:stint:x"} {
		if (&job.Problem{Type: other}).FromStint() {
			t.Errorf("%q is taken for a type of a server", other)
		}
	}
}

// Figures of a reply are clamped before they are multiplied.
func TestMilliseconds(t *testing.T) {
	const least, most = 100 * time.Millisecond, 10 * time.Minute
	for ms, want := range map[int64]time.Duration{
		math.MinInt64: least, -1: least, 0: least, 99: least, 100: least, 101: 101 * time.Millisecond, 5000: 5 * time.Second,
		600_000: most, 600_001: most, 9_223_372_036_855: most, 1e18: most, math.MaxInt64: most,
	} {
		if got := job.Milliseconds(ms, least, most); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
	if got := job.Milliseconds(math.MaxInt64, 0, time.Minute); got != time.Minute {
		t.Errorf("got %s", got)
	}
}
