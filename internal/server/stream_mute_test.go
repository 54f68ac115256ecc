package server_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Who only draws charts gets everything but the output.
func TestStreamWithoutOutput(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("hello\n").
		add(journal.TypeSample, job.Sample{CPUSeconds: 1}).output("again\n").finish(0)
	l.deliver(s, 0, 1<<20)
	f := l.follow("/api/v1/runs/"+s.id+"/stream?from=1:0&output=false", "")
	var kinds []string
	for {
		e, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.kind)
	}
	if want := []string{"run", "step", "sample", "step", "end"}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	l.get("/api/v1/runs/"+s.id+"/stream?output=maybe").problem(t, http.StatusBadRequest)
}
