package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// epoch is when the agents of these tests begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testJournal writes a journal as an agent would, one second a record.
type testJournal struct {
	t   *testing.T
	buf bytes.Buffer
	w   *journal.Writer
	at  time.Time
	id  string
}

func runID() string { return uuid.Must(uuid.NewV7()).String() }

func newJournal(t *testing.T, a journal.Attempt) *testJournal {
	t.Helper()
	if a.Run == "" {
		a.Run = runID()
	}
	if a.Attempt == 0 {
		a.Attempt = 1
	}
	if a.Job == "" {
		a.Job = "train"
	}
	if a.Args == nil {
		a.Args = []string{"python", "train.py"}
	}
	if a.Host == "" {
		a.Host = "box"
	}
	j := &testJournal{t: t, at: epoch, id: a.Run}
	w, err := journal.NewWriter(&j.buf)
	if err != nil {
		t.Fatal(err)
	}
	j.w = w
	j.json(journal.TypeAttempt, a)
	return j
}

func (j *testJournal) tick() time.Time { j.at = j.at.Add(time.Second); return j.at }

func (j *testJournal) json(typ journal.Type, v any) {
	j.t.Helper()
	if err := j.w.AppendJSON(typ, j.tick(), v); err != nil {
		j.t.Fatal(err)
	}
}

func (j *testJournal) command() {
	j.t.Helper()
	j.json(journal.TypeStepStarted, journal.StepStarted{Index: 0, Name: "command", Kind: job.CommandStep, Command: "python train.py", PID: 7})
}

func (j *testJournal) output(data string) {
	j.t.Helper()
	err := j.w.Append(journal.OutputRecord(j.tick(), journal.Output{Step: 0, Stream: job.Stdout, Data: []byte(data)}))
	if err != nil {
		j.t.Fatal(err)
	}
}

func (j *testJournal) sample(memory int64) {
	j.t.Helper()
	j.json(journal.TypeSample, job.Sample{At: j.at, CPUSeconds: 1, MemoryBytes: memory, Processes: 2})
}

// end writes the end of the command and of the attempt.
func (j *testJournal) end(code int) {
	j.t.Helper()
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
	j.json(journal.TypeStepEnded, journal.StepEnded{Index: 0, Outcome: o})
	if err := j.w.Finish(j.tick(), journal.Final{Outcome: o, Usage: job.Usage{CPUSeconds: 3, PeakMemoryBytes: 99}}); err != nil {
		j.t.Fatal(err)
	}
}

// take returns what was written since the last take, and where it begins.
func (j *testJournal) take() (offset int64, data []byte) {
	data = bytes.Clone(j.buf.Bytes())
	j.buf.Reset()
	return j.w.Size() - int64(len(data)), data
}

// whole is a journal of a run that ended.
func whole(t *testing.T, a journal.Attempt, code int, lines ...string) (id string, data []byte) {
	t.Helper()
	j := newJournal(t, a)
	j.command()
	for _, l := range lines {
		j.output(l)
	}
	j.sample(1 << 20)
	j.end(code)
	_, data = j.take()
	return j.id, data
}
