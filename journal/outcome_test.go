package journal_test

import (
	"bytes"
	"testing"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// The outcome at the end is found behind any damage; one that a job printed is not.
func TestFindOutcome(t *testing.T) {
	r := journal.NewRecovered()
	data := journal.AppendHeader(nil)
	add := func(encoded []byte, err error) {
		t.Helper()
		if err != nil || r.Take(encoded) != nil {
			t.Fatal(err)
		}
		data = append(data, encoded...)
	}
	output := func(text []byte) []byte {
		return journal.AppendRecord(nil, journal.OutputRecord(time.Now(), journal.Output{Stream: job.Stdout, Data: text}))
	}
	add(output(bytes.Repeat([]byte("x"), 100_000)), nil)
	printed, err := r.Finish(time.Now(), journal.Final{})
	add(output(printed), err)
	if got := journal.FindOutcome(bytes.NewReader(data), 0, int64(len(data))); got != nil {
		t.Errorf("what the job printed is taken for the outcome")
	}
	outcome, err := r.Finish(time.Now(), journal.Final{Outcome: job.Outcome{State: job.Failed}})
	add(outcome, err)
	for _, reserved := range []int{0, 1, 5000} {
		for at := 0; at < len(data)-len(outcome); at += 997 {
			damaged := append(bytes.Clone(data), make([]byte, reserved)...)
			damaged[at] ^= 0xff
			if got := journal.FindOutcome(bytes.NewReader(damaged), 0, int64(len(damaged))); !bytes.Equal(got, outcome) {
				t.Fatalf("damaged at byte %d: found %d bytes", at, len(got))
			}
		}
		from := int64(len(data) - len(outcome) - 50) // as of a later file
		if got := journal.FindOutcome(bytes.NewReader(data[from:]), from, int64(len(data))-from); !bytes.Equal(got, outcome) {
			t.Errorf("in a later file: found %d bytes", len(got))
		}
	}
	for cut := range len(outcome) {
		if got := journal.FindOutcome(bytes.NewReader(data), 0, int64(len(data)-len(outcome)+cut)); got != nil {
			t.Errorf("%d bytes of it are there, and it is found", cut)
		}
	}
}
