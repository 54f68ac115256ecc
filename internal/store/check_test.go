package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// check checks a store and returns what was found.
func check(t *testing.T, s *store.Store, repair bool) []recovery.Finding {
	t.Helper()
	var all []recovery.Finding
	sum, err := recovery.Check(t.Context(), s, repair, func(f recovery.Finding) { all = append(all, f) })
	if err != nil {
		t.Fatal(err)
	}
	if sum.Findings != len(all) || sum.Attempts == 0 || sum.Blocks == 0 {
		t.Errorf("sum %+v of %d findings", sum, len(all))
	}
	return all
}

func TestCheckFindsNothingWrong(t *testing.T) {
	onBoth(t, store.Keep{RunLog: 3 << 20}, func(t *testing.T, s *store.Store, _ string) {
		longRun(t, s, true)
		longRun(t, s, false)
		endedRun(t, s, "small", noon, 100)
		for range 2 {
			if found := check(t, s, false); len(found) != 0 {
				t.Errorf("found: %+v", found)
			}
			pack(t, s)
		}
	})
}

// damaged is a store with an ended run, packed or not, and what was sent of it.
func damaged(t *testing.T, packed bool, damage func(db *sql.DB, dir, id string)) (s *store.Store, id string, sent []byte, before job.Run) {
	t.Helper()
	dir := t.TempDir()
	a, err := archive.OpenDir(filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), store.Options{Dir: dir, Archive: a})
	if err != nil {
		t.Fatal(err)
	}
	id, sent = longRun(t, s, true)
	if packed {
		pack(t, s)
	}
	before = mustRun(t, s, id)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "stint.db"))
	if err != nil {
		t.Fatal(err)
	}
	damage(db, dir, id)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return openWith(t, store.Options{Dir: dir, Archive: a}), id, sent, before
}

func change(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// Whatever the tables say, they are rebuilt from the journals.
func TestCheckRebuildsTables(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, db *sql.DB, id string){
		"head": func(t *testing.T, db *sql.DB, id string) {
			change(t, db, `UPDATE blocks SET head = json_set(head, '$.lines', 7, '$.first_line', 99), lines = 7, first_line = 99 WHERE run_id = $1`, id)
		},
		"attempt": func(t *testing.T, db *sql.DB, id string) {
			change(t, db, `UPDATE attempts SET doc = json_set(doc, '$.view.output.lines', 1, '$.next_line', 2) WHERE run_id = $1`, id)
		},
		"run": func(t *testing.T, db *sql.DB, id string) {
			change(t, db, `UPDATE runs SET doc = json_set(doc, '$.output.lines', 1) WHERE id = $1`, id)
		},
		"no run": func(t *testing.T, db *sql.DB, id string) {
			change(t, db, `DELETE FROM runs WHERE id = $1`, id)
			change(t, db, `DELETE FROM jobs`)
		},
	} {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, packed %v", name, packed), func(t *testing.T) {
				s, id, sent, before := damaged(t, packed, func(db *sql.DB, _, id string) { damage(t, db, id) })
				if found := check(t, s, true); len(found) != 1 || found[0].Repaired == "" || found[0].Run != id {
					t.Fatalf("found: %+v", found)
				}
				if found := check(t, s, false); len(found) != 0 {
					t.Errorf("after the repair: %+v", found)
				}
				after := mustRun(t, s, id)
				after.CreatedAt, after.StartAt = before.CreatedAt, before.StartAt // they are not in the journal
				if diff := cmp.Diff(before, after); diff != "" {
					t.Error("run (-before +after):", diff)
				}
				if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
					t.Error("the journal differs")
				}
			})
		}
	}
}

// Bytes that went wrong in a segment are found, and cut off by a repair; the agent then
// sends the rest again.
func TestCheckCutsOffBadBytes(t *testing.T) {
	s, id, sent, _ := damaged(t, false, func(_ *sql.DB, dir, _ string) {
		for _, path := range filesIn(t, filepath.Join(dir, "segments")) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)*2/3] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	found := check(t, s, false)
	if len(found) != 1 || found[0].Repaired != "" || found[0].At == 0 {
		t.Fatalf("found: %+v", found)
	}
	if found := check(t, s, true); len(found) != 1 || found[0].Repaired == "" {
		t.Fatalf("repaired: %+v", found)
	}
	size, err := s.JournalSize(t.Context(), id, 1)
	if err != nil || size != found[0].At || size < int64(len(sent))/2 {
		t.Fatalf("%d of %d bytes are left, bad at %d: %v", size, len(sent), found[0].At, err)
	}
	one(t, s, id, 1, size, sent[size:])
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Error("the journal differs")
	}
	if found := check(t, s, false); len(found) != 0 {
		t.Errorf("at the end: %+v", found)
	}
}

func TestCheckMissesAnObject(t *testing.T) {
	s, id, _, _ := damaged(t, true, func(_ *sql.DB, dir, _ string) {
		for _, path := range filesIn(t, filepath.Join(dir, "archive")) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	})
	found := check(t, s, true)
	if len(found) != 2 || found[0].Run != id || found[0].Repaired != "" {
		t.Errorf("found: %+v", found)
	}
}

// A backup taken while a server works is a data directory in which every log is whole up
// to one moment.
func TestBackupWhileServing(t *testing.T) {
	dir := t.TempDir()
	a, err := archive.OpenDir(filepath.Join(dir, "archive"))
	if err != nil {
		t.Fatal(err)
	}
	s := openWith(t, store.Options{Dir: dir, Archive: a})
	packed, packedSent := longRun(t, s, true)
	pack(t, s)
	live, liveSent := longRun(t, s, true)
	growing := newJournal(t, journal.Attempt{})
	growing.command()
	var sent []byte
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			growing.output(noise(n, 9000))
			offset, data := growing.take()
			one(t, s, growing.id, 1, offset, data)
			sent = append(sent, data...)
			if n == 5 {
				close(started)
			}
			if err := s.Tidy(t.Context(), noon.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
	}()
	<-started
	target := filepath.Join(t.TempDir(), "backup")
	into := func() (store.Archive, error) { return archive.OpenDir(filepath.Join(target, "archive")) }
	beside := openWith(t, store.Options{Dir: dir, Archive: a, Beside: true})
	if err := recovery.Backup(t.Context(), beside, target, into); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if err := recovery.Backup(t.Context(), beside, target, into); err == nil {
		t.Error("a backup into a directory that is there")
	}
	to, err := into()
	if err != nil {
		t.Fatal(err)
	}
	copied := openWith(t, store.Options{Dir: target, Archive: to})
	if found := check(t, copied, false); len(found) != 0 {
		t.Errorf("found in the copy: %+v", found)
	}
	for id, want := range map[string][]byte{packed: packedSent, live: liveSent} {
		if body, _ := readBack(t, copied, id, 1); !bytes.Equal(body, want[journal.HeaderSize:]) {
			t.Errorf("run %s differs in the copy", id)
		}
	}
	body, _ := readBack(t, copied, growing.id, 1)
	if len(body) == 0 || !bytes.HasPrefix(sent[journal.HeaderSize:], body) {
		t.Errorf("the run that grew has %d bytes of %d, or others", len(body), len(sent))
	}
	size := int64(len(body)) + journal.HeaderSize
	one(t, copied, growing.id, 1, size, sent[size:])
}
