package flush

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// waitByHand puts a journal by hand into the spool, larger than a batch. Unless it is ended, its agent has died.
func waitByHand(t *testing.T, state, worker string, ended bool) {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(1), Attempt: 2, Job: "test", Server: here, Worker: worker}, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	err = j.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: run(1), Attempt: 2, Job: "test", Host: "here", AgentPID: 7, AgentVersion: "test", Labels: map[string]string{"zone": "fra"}})
	for i := range 2500 {
		text := bytes.Repeat([]byte(fmt.Sprintf("%06d\n", i)), 150)
		err = errors.Join(err, j.Append(journal.Record{Type: journal.TypeNote, At: at, Payload: fmt.Appendf(nil, `{"text":%q}`, text)}))
	}
	if ended {
		err = errors.Join(err, j.Finish(at, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}))
	}
	if err := errors.Join(err, j.Close()); err != nil {
		t.Fatal(err)
	}
}

// A journal by hand under the id of another run becomes a run of its own, whole, also when its agent died, and when an
// earlier try was cut off; the journal of a worker's attempt does not.
func TestJournalWhoseIDIsTaken(t *testing.T) {
	own := OwnRun(journal.Attempt{Run: run(1), Host: "here", AgentPID: 7})
	for name, c := range map[string]struct {
		ended bool
		cut   int    // what an earlier try has delivered
		kind  string // of the problem; empty for job.ProblemRunSubmitted
	}{
		"of a recorded run": {ended: true, kind: job.ProblemRunIDUsed}, "of a recorded run, its agent died": {kind: job.ProblemRunIDUsed},
		"ended": {ended: true}, "its agent died": {}, "a part was delivered": {ended: true, cut: 100_000}, "a batch was delivered": {ended: true, cut: 2_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{journals: map[string][]byte{}, errs: map[string]error{
				run(1): &job.Problem{Type: cmp.Or(c.kind, job.ProblemRunSubmitted), Status: http.StatusConflict, Title: "Conflict"},
			}}
			deliver := func() []byte {
				state := t.TempDir()
				waitByHand(t, state, "", c.ended)
				report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here})
				if err != nil || len(report.Journals) != 1 {
					t.Fatalf("%+v, %v", report, err)
				}
				if j := report.Journals[0]; !j.Delivered || j.OwnRun != own || j.Run != run(1) || j.Err != nil || j.Unfinished == c.ended {
					t.Fatalf("%+v", j)
				}
				if left, err := filepath.Glob(filepath.Join(state, "spool", "*")); err != nil || len(left) != 0 {
					t.Errorf("left in the spool: %v, %v", left, err)
				}
				return s.journals[own]
			}
			got := deliver()
			r, err := journal.Recover(bytes.NewReader(got))
			if err != nil || !r.Ended || r.Torn > 0 || r.Attempt.Run != own || r.Attempt.Attempt != 2 || r.Attempt.Labels[LabelIDTaken] != run(1) || r.Attempt.Labels["zone"] != "fra" {
				t.Fatalf("%+v, %v", r, err)
			}
			if n := bytes.Count(got, []byte(`002499\n`)); n != 150 {
				t.Errorf("the last note is there %d times", n)
			}
			if err := checkDigest(got); err != nil {
				t.Error(err)
			}
			if c.cut > 0 {
				s.journals[own] = bytes.Clone(got[:c.cut])
				if again := deliver(); !bytes.Equal(again[:c.cut], got[:c.cut]) || len(again) != len(got) {
					t.Errorf("after a cut the journal has %d bytes, and had %d", len(again), len(got))
				}
			}
		})
	}
	t.Run("of a worker", func(t *testing.T) {
		state := t.TempDir()
		waitByHand(t, state, "w7", true)
		s := &server{journals: map[string][]byte{}, errs: map[string]error{
			run(1): &job.Problem{Type: job.ProblemRunSubmitted, Status: http.StatusConflict, Title: "Conflict"},
		}}
		report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here})
		if err != nil || report.Journals[0].OwnRun != "" || report.Journals[0].Delivered || len(s.journals) != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// checkDigest returns an error unless the outcome of a journal has the length and digest of what is before it.
func checkDigest(data []byte) error {
	d := journal.NewDigester()
	d.Header(data[:journal.HeaderSize])
	for at := int64(journal.HeaderSize); ; {
		rec, size, err := journal.Next(data[at:], at)
		if err != nil || size == 0 {
			return fmt.Errorf("no outcome: %w", err)
		}
		if rec.Type == journal.TypeOutcome {
			var final journal.Final
			if err := journal.Decode(rec, &final); err != nil {
				return err
			}
			if final.Bytes != at || final.Digest != d.Sum() {
				return fmt.Errorf("the outcome says %d bytes, and it is at byte %d", final.Bytes, at)
			}
			return nil
		}
		d.Record(data[at : at+int64(size)])
		at += int64(size)
	}
}
