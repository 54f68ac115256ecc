package store_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestTornRecordOnSQLite(t *testing.T)     { tornRecord(t, openSQLite(t)) }
func TestTornRecordOnPostgreSQL(t *testing.T) { tornRecord(t, openPostgres(t)) }

// A host that lost its power in the middle of an append has lost the rest of a record whose
// beginning the server has. What the agent writes instead takes its place, and nothing else
// does.
func tornRecord(t *testing.T, s *store.Store) {
	const run = "0193c000-0000-7000-8000-000000000777"
	at := time.Now()
	record := func(text string) []byte {
		return journal.AppendRecord(nil, journal.OutputRecord(at, journal.Output{Stream: job.Stdout, Data: []byte(text)}))
	}
	identity, err := journal.JSONRecord(journal.TypeAttempt, at, journal.Attempt{Run: run, Attempt: 1, Job: "torn", Host: "here", AgentVersion: "test"})
	if err != nil {
		t.Fatal(err)
	}
	begin := journal.AppendRecord(journal.AppendHeader(nil), identity)
	send := func(offset int, data []byte) (int64, error) {
		t.Helper()
		done, _, err := s.Ingest(t.Context(), []index.Append{{Run: run, Attempt: 1, Offset: int64(offset), Data: data, At: at}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return done[0].Size, done[0].Err
	}
	torn := record("lost with the power\n")
	half := torn[:len(torn)/2]
	if size, err := send(0, append(bytes.Clone(begin), half...)); err != nil || int(size) != len(begin)+len(half) {
		t.Fatalf("size %d, error %v", size, err)
	}
	var offset *index.OffsetError
	for name, data := range map[string][]byte{"part of a record": record("other\n")[:10], "nothing whole": half} {
		if size, err := send(len(begin), data); !errors.As(err, &offset) || int(size) != len(begin)+len(half) {
			t.Errorf("%s in its place: size %d, error %v", name, size, err)
		}
	}
	if _, err := send(len(begin)-1, record("other\n")); !errors.As(err, &offset) {
		t.Errorf("before the torn record: error %v", err)
	}
	instead := record("the agent died\n")
	if size, err := send(len(begin), instead); err != nil || int(size) != len(begin)+len(instead) {
		t.Fatalf("a whole record in its place: size %d, error %v", size, err)
	}
	if _, err := send(len(begin), record("other\n")); !errors.As(err, &offset) {
		t.Errorf("in the place of a whole record: error %v", err)
	}
	more := record("and so on\n")
	if size, err := send(len(begin)+len(instead), more); err != nil || int(size) != len(begin)+len(instead)+len(more) {
		t.Errorf("after it: size %d, error %v", size, err)
	}
	r, err := s.Run(t.Context(), run)
	if err != nil || r.Output.Bytes != int64(len("the agent died\nand so on\n")) {
		t.Errorf("run %+v, error %v", r.Output, err)
	}
}
