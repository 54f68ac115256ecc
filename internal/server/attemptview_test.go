package server_test

import (
	"testing"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// A run is shown as one of its attempts was.
func TestRunAsAnAttempt(t *testing.T) {
	l := start(t, server.Config{})
	first := newSketch(t, "tries", nil).command().retrying()
	l.deliver(first, 0, 1<<20)
	second := newAttempt(t, first.id, 2, "tries", nil).command().finish(0)
	l.do("POST", journalPath(first.id, 2, 0), second.bytes()).ok(t, nil)
	var run job.Run
	for path, want := range map[string]struct {
		attempt int
		state   job.State
	}{
		"":           {2, job.Succeeded},
		"?attempt=2": {2, job.Succeeded},
		"?attempt=1": {1, job.Failed},
	} {
		l.get("/api/v1/runs/"+first.id+path).ok(t, &run)
		if run.Attempt != want.attempt || run.Steps[0].State != want.state {
			t.Errorf("%q: attempt %d, its command %s; want %d, %s", path, run.Attempt, run.Steps[0].State, want.attempt, want.state)
		}
	}
	l.get("/api/v1/runs/"+first.id+"?attempt=3").problem(t, 404)
	l.get("/api/v1/runs/"+first.id+"?attempt=0").problem(t, 400)
}
