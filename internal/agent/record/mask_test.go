package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const testSecret = "hunter22-horse"

// Every text of a record that may come from outside is masked.
func TestEveryRecordIsMasked(t *testing.T) {
	secrets := redact.NewSet([]string{testSecret})
	outcome := job.Outcome{Message: testSecret, By: testSecret, OOM: &job.OOM{Victim: testSecret}}
	long := strings.Repeat("x", job.MaxLabelBytes-len("secret")) + "secret"
	for _, v := range []any{
		journal.Attempt{
			Args: []string{"a", testSecret}, Install: []string{testSecret}, Dir: "/" + testSecret,
			Labels: map[string]string{"k": testSecret},
		},
		journal.StepStarted{Command: testSecret},
		journal.StepEnded{Outcome: outcome},
		journal.Note{Text: testSecret, Processes: []job.StoppedProcess{{Name: testSecret, Facts: []string{"files: " + testSecret}}}},
		journal.Status{Text: testSecret},
		journal.Stopping{By: testSecret, Why: testSecret},
		journal.Final{Outcome: maskedOutcome(secrets, outcome)},
	} {
		b, err := json.Marshal(masked(secrets, v))
		if err != nil || bytes.Contains(b, []byte(testSecret)) {
			t.Errorf("%T: %s, error %v", v, b, err)
		}
		if same, _ := json.Marshal(masked(nil, v)); !bytes.Contains(same, []byte(testSecret)) && !bytes.Contains(same, []byte(redact.Mark)) {
			t.Errorf("%T without a set: %s", v, same)
		}
	}
	if outcome.OOM.Victim != testSecret {
		t.Error("the caller's own record was changed")
	}
	labels := maskedLabels(redact.NewSet([]string{"secret"}), map[string]string{"k": long})
	if err := job.CheckLabel("k", labels["k"]); err != nil {
		t.Error(err)
	}
}

// What finds no room is counted as the reader would have seen it: masked.
func TestGapsCountMaskedBytes(t *testing.T) {
	const lines = 200_000
	j := spool.InMemory(spool.Meta{Run: testRun}, spool.Limits{Memory: 1 << 20}, errors.New("no disk"))
	r := New(Config{Journal: j, Secrets: redact.NewSet([]string{testSecret}), SendAtOnce: 512 << 10, Print: func(string) {}})
	c, err := r.CapturePipe(0, job.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	go c.drain()
	if _, err := c.write.Write(bytes.Repeat([]byte(testSecret+"\n"), lines)); err != nil {
		t.Fatal(err)
	}
	c.Release()
	<-c.done
	if err := r.Finish(time.Now(), journal.Final{Outcome: job.Outcome{State: job.Succeeded}}); err != nil {
		t.Fatal(err)
	}
	data := contents(t, j, 0)
	v := readJournal(t, data)
	out := v.output[job.Stdout]
	if len(v.gaps) != 1 || len(out) == 0 || bytes.Contains(data, []byte(testSecret)) {
		t.Fatalf("gaps %+v, %d bytes of output", v.gaps, len(out))
	}
	g, kept := v.gaps[0], int64(len(out))
	if want := int64(lines * len(redact.Mark+"\n")); g.AtBytes > kept || kept+g.Bytes != want || int64(bytes.Count(out, []byte("\n")))+g.Lines != lines {
		t.Errorf("gap %+v beside %d bytes; together they should be %d bytes", g, kept, want)
	}
}
