package flush

import (
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// waitWithToken puts a whole journal with a token of its own into the spool of a state directory.
func waitWithToken(t *testing.T, state string, n int, token string) {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(n), Attempt: 1, Job: "test", Server: here, Worker: "w7", Token: token}, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	err = errors.Join(
		j.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: run(n), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}),
		j.Finish(at, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}),
		j.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// A journal that has a token of its own is delivered with that one by every process, and a
// token that the server does not take is no reason to leave the other journals.
func TestJournalWithItsOwnToken(t *testing.T) {
	state := t.TempDir()
	waitWithToken(t, state, 1, "sta_1")
	waitWithToken(t, state, 2, "sta_2")
	wait(t, state, 3, here)
	own := &server{journals: map[string][]byte{}}
	first := &server{journals: map[string][]byte{}, errs: map[string]error{
		run(1): &job.Problem{Type: job.ProblemUnauthorized, Status: http.StatusUnauthorized, Title: "Unauthorized"},
	}}
	second := &server{journals: map[string][]byte{}}
	tokens := map[string]*server{"sta_1": first, "sta_2": second}
	report, err := Run(t.Context(), Config{StateDir: state, Server: own, ServerURL: here, WithToken: func(token string) delivery.Server { return tokens[token] }})
	if err != nil || len(report.Journals) != 3 || report.Untried != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	for i, delivered := range []bool{false, true, true} {
		if j := report.Journals[i]; j.Delivered != delivered {
			t.Errorf("journal %d: %+v", i+1, j)
		}
	}
	if !slices.Equal(own.asked, []string{run(3)}) || !slices.Equal(second.asked, []string{run(2)}) || len(second.journals[run(2)]) == 0 {
		t.Errorf("without a token %v, with the second %v", own.asked, second.asked)
	}
	left, err := filepath.Glob(filepath.Join(state, "spool", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != run(1)+".1" {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}
