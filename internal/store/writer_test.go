package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// oneWriter: from the moment a process has taken a journal over, no append of an earlier one is
// taken, in whatever order they are committed; and it learns how long the journal is.
func oneWriter(t *testing.T, s *store.Store) {
	id, begun := whole(t, journal.Attempt{}, 0, "begun\n")
	begun = begun[:len(begun)-len(lastRecord(t, begun))] // without its outcome
	size := int64(len(begun))
	record := func(text string) []byte {
		return journal.AppendRecord(nil, journal.OutputRecord(noon, journal.Output{Stream: job.Stdout, Data: []byte(text)}))
	}
	dead, first, second := record("of the dead agent\n"), record("of the first\n"), record("of the second\n")
	type step struct {
		index.Append
		size   int64 // of the answer
		writer int   // that took it over before; -1: the append is taken
	}
	steps := []step{
		{index.Append{Data: begun}, size, -1},
		{index.Append{Offset: size, Writer: 1, Data: first}, size, 0}, // not without asking
		{index.Append{Offset: size, Writer: 1}, size, -1},
		{index.Append{Offset: size, Data: dead}, size, 1},
		{index.Append{Offset: size, Writer: 1}, size, 1}, // asked twice, by a proxy
		{index.Append{Offset: size, Writer: 1, Data: first}, size + int64(len(first)), -1},
		{index.Append{Offset: size, Writer: 7}, size + int64(len(first)), -1},
		{index.Append{Offset: size + int64(len(first)), Writer: 1, Data: first}, size + int64(len(first)), 7},
		{index.Append{Offset: size + int64(len(first)), Data: dead}, size + int64(len(first)), 7},
		{index.Append{Offset: size + int64(len(first)), Writer: 7, Data: second}, size + int64(len(first)+len(second)), -1},
	}
	check := func(i int, got index.Appended) {
		t.Helper()
		var taken *index.WriterError
		switch want := steps[i]; {
		case got.Size != want.size && want.writer < 0:
			t.Errorf("step %d: size %d, want %d", i, got.Size, want.size)
		case want.writer < 0 && got.Err != nil:
			t.Errorf("step %d: %v", i, got.Err)
		case want.writer >= 0 && (!errors.As(got.Err, &taken) || taken.Writer != want.writer):
			t.Errorf("step %d: error %v, want one of writer %d", i, got.Err, want.writer)
		}
	}
	for i := range steps {
		steps[i].Run, steps[i].Attempt, steps[i].At = id, 1, noon
		got, _, err := s.Ingest(t.Context(), []index.Append{steps[i].Append}, nil)
		if err != nil {
			t.Fatal(err)
		}
		check(i, got[0])
	}
	want := slices.Concat(begun, first, second)[journal.HeaderSize:]
	if got, _ := readBack(t, s, id, 1); !bytes.Equal(got, want) {
		t.Errorf("the journal is %q, want %q", got, want)
	}

	// The same in one transaction, of a journal of which nothing has come.
	id = runID()
	appends := []index.Append{
		{Writer: 1}, {Data: begun}, {Offset: size, Data: dead},
	}
	for i := range appends {
		appends[i].Run, appends[i].Attempt, appends[i].At = id, 1, noon
	}
	got, _, err := s.Ingest(t.Context(), appends, nil)
	if err != nil {
		t.Fatal(err)
	}
	var taken *index.WriterError
	if got[0].Err != nil || got[0].Size != 0 || !errors.As(got[1].Err, &taken) || !errors.As(got[2].Err, &taken) {
		t.Errorf("in one transaction: %+v", got)
	}
	if size, err := s.JournalSize(t.Context(), id, 1); err != nil || size != 0 {
		t.Errorf("size %d, error %v", size, err)
	}
}

// lastRecord is the last record of a journal.
func lastRecord(t *testing.T, data []byte) (last []byte) {
	t.Helper()
	for rest := data[journal.HeaderSize:]; len(rest) > 0; {
		_, n, err := journal.Next(rest, journal.HeaderSize)
		if err != nil {
			t.Fatal(err)
		}
		last, rest = rest[:n], rest[n:]
	}
	return last
}
