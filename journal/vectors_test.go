package journal_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// vectors are the examples of docs/journal.md, made by this package.
func vectors(t *testing.T) map[string][]byte {
	t.Helper()
	record := func(r journal.Record, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return journal.AppendRecord(nil, r)
	}
	var whole bytes.Buffer
	w, err := journal.NewWriter(&whole)
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	outcome := job.Outcome{State: job.Failed, Reason: job.ExitCode, ExitCode: &three, Step: "command", Message: "Exited with code 3."}
	for _, err := range []error{
		w.AppendJSON(journal.TypeAttempt, start, journal.Attempt{
			Run: "0198c1f2-7b1c-7cc2-9c2a-0f3d5b6a7e10", Attempt: 1, Job: "demo", Args: []string{"false"}, Host: "h", AgentVersion: "1",
		}),
		w.AppendJSON(journal.TypeStepStarted, start, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "false", PID: 7}),
		w.Append(journal.OutputRecord(start, journal.Output{Stream: job.Stdout, Data: []byte("out\n")})),
		w.AppendJSON(journal.TypeStepEnded, start, journal.StepEnded{Outcome: outcome}),
		w.Finish(start, journal.Final{Outcome: outcome}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string][]byte{
		"header":       journal.AppendHeader(nil),
		"newer header": header(2, 0),
		"output":       record(journal.OutputRecord(start, journal.Output{Step: 1, Stream: job.Stderr, Data: []byte("hi\n\xff")}), nil),
		"note":         record(journal.JSONRecord(journal.TypeNote, start, journal.Note{Step: -1, Text: "hello"})),
		"unknown type": record(journal.Record{Type: 200, At: start, Payload: []byte{1, 2, 3}}, nil),
		"journal":      whole.Bytes(),
	}
}

// documented reads the vectors out of the specification: a line "Vector: name" and the
// block after it.
func documented(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?m)^Vector: ([a-z ]+)[^\n]*\n\n```text\n([0-9a-f \n]+)```$").FindAllStringSubmatch(string(text), -1) {
		raw, err := hex.DecodeString(strings.Join(strings.Fields(m[2]), ""))
		if err != nil {
			t.Fatalf("vector %q: %v", m[1], err)
		}
		found[strings.TrimSpace(m[1])] = raw
	}
	return found
}

// block writes bytes as the specification does, 32 to the line.
func block(b []byte) string {
	var s strings.Builder
	for ; len(b) > 0; b = b[min(32, len(b)):] {
		s.WriteString(hex.EncodeToString(b[:min(32, len(b))]) + "\n")
	}
	return s.String()
}

func TestVectorsOfTheSpecification(t *testing.T) {
	want := documented(t)
	made := vectors(t)
	if len(want) != len(made) {
		t.Errorf("docs/journal.md has %d vectors, this test makes %d", len(want), len(made))
	}
	for name, b := range made {
		if !bytes.Equal(want[name], b) {
			t.Errorf("vector %q of docs/journal.md is not what the package writes:\n%s", name, block(b))
		}
	}
}

// The documented journal, read from the document alone.
func TestVectorReadsBack(t *testing.T) {
	whole := documented(t)["journal"]
	records, r, err := readAll(t, bytes.NewReader(whole))
	if err != io.EOF || r.Skipped() != 0 {
		t.Fatalf("%v, skipped %d", err, r.Skipped())
	}
	var types []string
	for _, rec := range records {
		types = append(types, rec.Type.String())
		if !rec.At.Equal(start) {
			t.Errorf("%s at %s, want %s", rec.Type, rec.At, start)
		}
	}
	if got := strings.Join(types, " "); got != "attempt step_started output step_ended outcome" {
		t.Errorf("types: %s", got)
	}
	if f := final(t, whole); f.Outcome.ProcessExitCode() != 3 {
		t.Errorf("outcome %+v", f.Outcome)
	}
}
