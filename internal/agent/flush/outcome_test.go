package flush

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A run whose journal was damaged on the disk ends as its agent wrote, if the outcome can still
// be read, also when no server answers at first; what is missing shows.
func TestOutcomeBehindDamage(t *testing.T) {
	first := func(dir string) string { return filepath.Join(dir, "journal") }
	last := func(dir string) string {
		all, _ := filepath.Glob(filepath.Join(dir, "journal.*")) // the pattern is valid
		slices.Sort(all)
		return all[len(all)-1]
	}
	for name, c := range map[string]struct {
		damage func(dir string) error
		kept   bool
	}{
		"a byte in the first file":     {func(dir string) error { return overwrite(first(dir), 1000) }, true},
		"a byte in the last file":      {func(dir string) error { return overwrite(last(dir), 30) }, true},
		"the end of the first file":    {func(dir string) error { return os.Truncate(first(dir), 1000) }, true},
		"reserved room behind the end": {func(dir string) error { return errors.Join(overwrite(first(dir), 1000), grow(last(dir), 500)) }, true},
		"the outcome too":              {func(dir string) error { return errors.Join(overwrite(first(dir), 1000), shrink(last(dir), 1)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			failed := waitInParts(t, state)
			dir := filepath.Join(state, "spool", run(1)+".1")
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			s := &server{errs: map[string]error{run(1): problem(500, job.ProblemInternal)}, journals: map[string][]byte{}}
			config := Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}}
			var report Report
			for range 2 { // the first time, the server has trouble
				var err error
				if report, err = Run(t.Context(), config); err != nil {
					t.Fatal(err)
				}
				s.errs = nil
			}
			got, err := journal.Recover(bytes.NewReader(s.journals[run(1)]))
			if err != nil || !got.Ended || got.Open != -1 {
				t.Fatalf("delivered %+v, error %v", got, err)
			}
			if !c.kept {
				if got.Final.Outcome.State != job.Lost {
					t.Errorf("outcome %+v", got.Final.Outcome)
				}
				return
			}
			o := got.Final.Outcome
			if o.State != job.Failed || o.ExitCode == nil || *o.ExitCode != 3 || !got.LastAt.Equal(failed) {
				t.Errorf("at %v: outcome %+v; want exit code 3 at %v", got.LastAt, o, failed)
			}
			if !strings.Contains(string(s.journals[run(1)]), "the journal was damaged on the disk") {
				t.Error("no note says what is missing")
			}
			if report.Journals[0].Unfinished || !report.Journals[0].Damaged {
				t.Errorf("reported as %+v", report.Journals[0])
			}
		})
	}
}

// waitInParts puts a journal of several files into the spool, of a run that failed with 3, and
// returns when.
func waitInParts(t *testing.T, state string) time.Time {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(1), Attempt: 1, Job: "test", Server: here}, spool.Limits{Segment: 2 << 10, Unsent: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = errors.Join(
		j.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: run(1), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}),
		j.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep}),
	)
	for range 60 {
		err = errors.Join(err, j.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: bytes.Repeat([]byte("line\n"), 40)})))
	}
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 3})
	err = errors.Join(err, j.AppendJSON(journal.TypeStepEnded, now, journal.StepEnded{Outcome: o}), j.Finish(now, journal.Final{Outcome: o}), j.Close())
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func grow(path string, by int64) error { return shrink(path, -by) }

func shrink(path string, by int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-by)
}

// A journal of which nothing was written is removed, and is not called delivered.
func TestEmptyJournal(t *testing.T) {
	for _, size := range []int64{0, 5, journal.HeaderSize} {
		state := t.TempDir()
		wait(t, state, 1, here)
		if err := os.Truncate(filepath.Join(state, "spool", run(1)+".1", "journal"), size); err != nil {
			t.Fatal(err)
		}
		s := &server{journals: map[string][]byte{}}
		report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}})
		if err != nil || len(report.Journals) != 1 {
			t.Fatalf("report %+v, error %v", report, err)
		}
		if j := report.Journals[0]; j.Err != nil || j.Delivered || !j.Empty || len(s.journals[run(1)]) > 0 {
			t.Errorf("%d bytes: %+v", size, j)
		}
	}
}
