package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// An agent that was killed after the server had the whole journal, and before it removed it,
// leaves one whose beginning is deleted already: there is nothing to send, and the server is
// asked and the rest removed.
func TestJournalThatTheServerHasWhollyIsPutAway(t *testing.T) {
	s := newMemoryServer()
	state := t.TempDir()
	sp, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := sp.Create(spool.Meta{Run: testRun, Attempt: 1, Job: "test"}, spool.Limits{Unsent: 64 << 20, Segment: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: testRun, Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}))
	for n := range 100 {
		must(j.Append(journal.OutputRecord(at, journal.Output{Stream: job.Stdout, Data: bytes.Repeat([]byte{byte('a' + n%26)}, 5000)})))
	}
	outcome := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})
	must(j.Finish(at, journal.Final{Outcome: outcome}))
	whole := make([]byte, j.Size())
	if _, err := j.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	s.journals[testRun] = whole
	j.Acknowledge(j.Size())
	j.PlaceTail()
	must(j.Close())
	report, err := flush.Run(t.Context(), flush.Config{StateDir: state, Server: s, Host: owner.Host{Name: "here", BootID: "boot"}})
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered || report.Journals[0].Unfinished {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	if left, _ := filepath.Glob(filepath.Join(state, "spool", "*")); len(left) > 0 {
		t.Errorf("the spool still holds %v", left)
	}
}

// The server has the beginning of a record whose rest this host lost: what says how the run
// ended takes its place.
func TestTornRecordOnTheServerIsReplaced(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ := config(t, s, "echo kept")
	got := Run(t.Context(), c)
	file := filepath.Join(got.WaitsAt, "journal")
	text := []byte(readAll(t, file))
	i := bytes.LastIndex(text, []byte(`{"index":0,"outcome"`)) - journal.FrameSize
	if i < 0 {
		t.Fatal("the journal has no end of its step")
	}
	if err := os.Truncate(file, int64(i)); err != nil {
		t.Fatal(err)
	}
	s.set(func() {
		s.before = nil
		s.journals[testRun] = bytes.Clone(text[:i+journal.FrameSize+5])
		s.whole = i
	})
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL, Host: owner.Host{Name: "here", BootID: "boot"}})
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered || !report.Journals[0].Unfinished {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	if v := s.read(t, testRun); v.final == nil || v.final.Outcome.Reason != job.AgentLost {
		t.Errorf("journal %+v", v)
	}
}

// flushWhenFree flushes a spool with one journal when it is not locked any more: what an agent is
// just starting when it is killed has its descriptors, and with them the lock, until it is another
// program.
func flushWhenFree(t *testing.T, f flush.Config) (report flush.Report, err error) {
	t.Helper()
	poll, limit := time.NewTicker(10*time.Millisecond), time.NewTimer(20*time.Second)
	defer poll.Stop()
	defer limit.Stop()
	for {
		report, err = flush.Run(t.Context(), f)
		if err != nil || len(report.Journals) != 1 || report.Journals[0].Skipped != flush.InUse {
			return report, err
		}
		select {
		case <-poll.C:
		case <-limit.C:
			return report, err
		}
	}
}
