package diagnose

import (
	"bytes"
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// oneLog is an archive of one run that printed on stderr.
type oneLog struct {
	Store
	head         index.BlockHead
	data         []byte
	ownerInvalid bool
}

func newOneLog(t *testing.T, run, text string) *oneLog {
	t.Helper()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err == nil {
		err = w.AppendJSON(journal.TypeAttempt, noon, journal.Attempt{Run: run, Attempt: 1, Job: "j", Args: []string{"x"}})
	}
	if err == nil {
		err = w.Append(journal.OutputRecord(noon, journal.Output{Stream: job.Stderr, Data: []byte(text)}))
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := index.Fold(index.NewState(run, 1), buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return &oneLog{head: f.Head, data: buf.Bytes()[f.Head.Start:]}
}

func (l *oneLog) Lease(_ context.Context, run string) (lease.Lease, error) {
	return lease.Lease{Run: run, Attempt: 1}, nil
}

func (l *oneLog) LastBlocks(context.Context, string, int, int) ([]index.BlockHead, error) {
	return []index.BlockHead{l.head}, nil
}

func (l *oneLog) BlockData(context.Context, string, int, int64) ([]byte, error) { return l.data, nil }

func (l *oneLog) LastSamples(context.Context, string, int, int) ([]job.Sample, error) {
	return nil, nil
}

func (l *oneLog) GoodRunsBefore(context.Context, job.Run, int) ([]job.Run, error) {
	return nil, nil
}

func (l *oneLog) OwnerInvalid(context.Context, string) (bool, error) { return l.ownerInvalid, nil }

// The attempt that another one is to follow is diagnosed as one that failed.
func TestInvestigateBetweenTwoAttempts(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	l := newOneLog(t, id, "begin\nfatal: unable to access the repository\n")
	run := job.Run{ID: id, Attempt: 1, State: job.Retrying, Outcome: &job.Outcome{State: job.Failed, Reason: job.ExitCode, Message: "Exited with code 128."}}
	d, err := Investigate(t.Context(), l, run)
	want := &job.Evidence{Attempt: 1, Stream: job.Stderr, Line: 2, Text: "fatal: unable to access the repository"}
	if err != nil || d == nil || d.Sentence != want.Text {
		t.Fatalf("%+v, %v", d, err)
	}
	if diff := cmp.Diff(want, d.Evidence); diff != "" {
		t.Error(diff)
	}
}

// What was known of a lost run stays, unless the rest of its journal makes more certain why it
// ended; the line that states the error is that of the longer log.
func TestInvestigateAfterALateDelivery(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	memory := &job.Diagnosis{Sentence: "Its memory was at 99 % of the limit.", Causes: []job.Cause{{Cause: "out_of_memory", Weight: 0.9}}}
	run := job.Run{ID: id, Attempt: 1, State: job.Lost, Diagnosis: memory, EndedAt: &noon, Outcome: &job.Outcome{State: job.Lost, Reason: job.AgentLost}}
	d, err := Investigate(t.Context(), newOneLog(t, id, "error: no room left\n"), run)
	if err != nil || d.Sentence != memory.Sentence || d.Evidence == nil || d.Evidence.Text != "error: no room left" {
		t.Errorf("%+v, %v", d, err)
	}
	run.Outcome.Reason = job.HostRebooted
	if d, err = Investigate(t.Context(), newOneLog(t, id, ""), run); err != nil || d.Causes[0].Cause != "host_rebooted" {
		t.Errorf("%+v, %v", d, err)
	}
}

// That the token of its agent is not valid explains a loss when that is diagnosed first: later it may
// have been revoked because of the loss.
func TestInvestigateARefusedToken(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	l := newOneLog(t, id, "begin\n")
	run := job.Run{ID: id, Attempt: 1, State: job.Lost, Outcome: &job.Outcome{State: job.Lost, Reason: job.AgentLost, Message: "No heartbeat."}}
	killed := &job.Diagnosis{Causes: []job.Cause{{Cause: "agent_killed", Weight: 0.4, Evidence: "x"}}}
	for _, c := range []struct {
		invalid bool
		before  *job.Diagnosis
		want    string
	}{
		{false, nil, "agent_killed"},
		{true, nil, "token_refused"},
		{true, killed, "agent_killed"},
	} {
		l.ownerInvalid, run.Diagnosis = c.invalid, c.before
		if d, err := Investigate(t.Context(), l, run); err != nil || d == nil || d.Causes[0].Cause != c.want {
			t.Errorf("%+v: %+v, %v", c, d, err)
		}
	}
}
