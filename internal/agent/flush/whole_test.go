package flush

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A journal that the server has whole is removed, also one whose end this host lost; one of another length was completed
// by another process, and is kept.
func TestJournalThatTheServerHasWhole(t *testing.T) {
	for name, c := range map[string]struct {
		ended     bool
		more      int64 // bytes on the server
		delivered bool
	}{
		"the same":                {ended: true, delivered: true},
		"the end is missing":      {more: 100, delivered: true},
		"another end is here":     {ended: true, more: 100},
		"another end, and longer": {ended: true, more: -1},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			size := waitFor(t, state, c.ended) + c.more
			s := &server{journals: map[string][]byte{}, errs: map[string]error{
				run(1): &job.Problem{Type: job.ProblemJournalWhole, Status: http.StatusConflict, Size: &size},
			}}
			report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here})
			if err != nil || len(report.Journals) != 1 {
				t.Fatalf("%+v, %v", report, err)
			}
			var refused *delivery.RefusedError
			if j := report.Journals[0]; j.Delivered != c.delivered || c.delivered != (j.Err == nil) || !c.delivered && !errors.As(j.Err, &refused) {
				t.Errorf("%+v", j)
			}
			left, err := filepath.Glob(filepath.Join(state, "spool", "*"))
			if err != nil || (len(left) == 0) != c.delivered {
				t.Errorf("left in the spool: %v, %v", left, err)
			}
		})
	}
}

// waitFor puts a journal into the spool of a state directory, whose agent died before its end unless it is ended. It
// returns its size.
func waitFor(t *testing.T, state string, ended bool) int64 {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(1), Attempt: 1, Job: "test", Server: here}, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	err = j.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: run(1), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"})
	if ended {
		err = errors.Join(err, j.Finish(at, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}))
	}
	size := j.Size()
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	return size
}
