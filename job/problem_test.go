package job_test

import (
	"strings"
	"testing"

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
