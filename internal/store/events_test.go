package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/journal"
)

// connect opens a connection beside the store, as another server's.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// openEvent begins a transaction that has recorded an event of a run, and returns it with the
// event's id.
func openEvent(t *testing.T, conn *pgx.Conn, run string) (pgx.Tx, int64) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	err = tx.QueryRow(t.Context(), `INSERT INTO events (run_id, attempt, at, clock, kind, from_value, to_value, rule, evidence)
		VALUES ($1, 1, 1, 'server', 'state', 'a', 'b', '', '') RETURNING id`, run).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return tx, id
}

// idsAfter are the ids of all events after one.
func idsAfter(t *testing.T, s *store.Store, after int64) []int64 {
	t.Helper()
	events, err := s.Events(t.Context(), "", after, 100)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// A transaction of another server has taken an event's id and commits after one with a higher
// id: who follows the events sees both, in the order of their ids.
func TestEventsWaitForLowerIDs(t *testing.T) {
	for name, end := range map[string]func(pgx.Tx, context.Context) error{"commit": pgx.Tx.Commit, "rollback": pgx.Tx.Rollback} {
		t.Run(name, func(t *testing.T) {
			url := postgrestest.URL(t)
			s, other := openURL(t, url), connect(t, url)
			id, data := whole(t, journal.Attempt{}, 0)
			one(t, s, id, 1, 0, data)
			begun, err := s.LastEventID(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			open, lower := openEvent(t, other, id)
			later, data := whole(t, journal.Attempt{}, 1)
			var want []int64
			for _, e := range one(t, s, later, 1, 0, data).Events {
				if e.ID < lower {
					t.Fatalf("event %d has a lower id than the one before it, %d", e.ID, lower)
				}
				want = append(want, e.ID)
			}
			for range 3 {
				if got := idsAfter(t, s, begun); len(got) > 0 {
					t.Fatalf("events %v were returned before %d, which is not committed", got, lower)
				}
			}
			if err := end(open, t.Context()); err != nil {
				t.Fatal(err)
			}
			if name == "commit" {
				want = slices.Concat([]int64{lower}, want)
			}
			if got := idsAfter(t, s, begun); !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
			if last, err := s.LastEventID(t.Context()); err != nil || last != want[len(want)-1] {
				t.Errorf("last event %d, %v, want %d", last, err, want[len(want)-1])
			}
		})
	}
}

// A transaction that records no event, or that of another database, holds up nobody.
func TestEventsWaitForNoOtherTransaction(t *testing.T) {
	url := postgrestest.URL(t)
	s, other := openURL(t, url), connect(t, url)
	id, data := whole(t, journal.Attempt{}, 0)
	one(t, s, id, 1, 0, data)
	begun, err := s.LastEventID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gap, _ := openEvent(t, other, id)
	if err := gap.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	long, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec(t.Context(), `UPDATE jobs SET next_number = next_number`); err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec(t.Context(), `SELECT count(*) FROM events`); err != nil {
		t.Fatal(err)
	}
	later, data := whole(t, journal.Attempt{Job: "other"}, 1)
	want := one(t, s, later, 1, 0, data).Events
	if got := idsAfter(t, s, begun); len(got) != len(want) {
		t.Errorf("events %v, want %d of them", got, len(want))
	}
}

// Who begins to follow while transactions record events begins before the first of those.
func TestLastEventIDWaitsForLowerIDs(t *testing.T) {
	url := postgrestest.URL(t)
	s, other := openURL(t, url), connect(t, url)
	id, data := whole(t, journal.Attempt{}, 0)
	one(t, s, id, 1, 0, data)
	open, lower := openEvent(t, other, id)
	later, data := whole(t, journal.Attempt{}, 1)
	one(t, s, later, 1, 0, data)
	if last, err := s.LastEventID(t.Context()); err == nil {
		t.Errorf("last event %d; nobody knows which events are before %d, which is not committed", last, lower)
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last, err := s.LastEventID(t.Context()); err != nil || last <= lower {
		t.Errorf("last event %d, %v; %d is committed", last, err, lower)
	}
	open, lower = openEvent(t, other, id)
	third, data := whole(t, journal.Attempt{}, 1)
	one(t, s, third, 1, 0, data)
	last, err := s.LastEventID(t.Context())
	if err != nil || last >= lower {
		t.Errorf("last event %d, %v, though %d is not committed", last, err, lower)
	}
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := idsAfter(t, s, last); len(got) < 2 || got[0] != lower {
		t.Errorf("after it come %v, want %d first", got, lower)
	}
}

// An id is given once, also after an older state of the database was restored.
func TestEventIDsAreNotGivenAgain(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		dir, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
		o := store.Options{Dir: dir, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")}
		if err := openAt(t, o, noon.Add(-time.Hour)).Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		idsAfterRestore(t, o, func() error {
			return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup)))
		})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := postgrestest.URL(t)
		conn := connect(t, url)
		idsAfterRestore(t, store.Options{URL: url}, func() error {
			_, err := conn.Exec(t.Context(), `DELETE FROM events; ALTER TABLE events ALTER COLUMN id RESTART WITH 1`)
			return err
		})
	})
}

// idsAfterRestore records events, restores an older state of the database and records more.
func idsAfterRestore(t *testing.T, o store.Options, restore func() error) {
	t.Helper()
	s := openAt(t, o, noon)
	id, data := whole(t, journal.Attempt{}, 0)
	before := one(t, s, id, 1, 0, data).Events
	last := before[len(before)-1].ID
	checkKnown(t, s, last, true)
	checkKnown(t, s, last+1, false)
	if err := errors.Join(s.Close(), restore()); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o, noon.Add(2*time.Second))
	checkKnown(t, s, last, true)
	id, data = whole(t, journal.Attempt{}, 1)
	for _, e := range one(t, s, id, 1, 0, data).Events {
		if e.ID <= last {
			t.Errorf("event %d after the restore, though %d was given before it", e.ID, last)
		}
		if e.ID >= 1<<53 {
			t.Errorf("JavaScript cannot represent event id %d exactly", e.ID)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// openAt opens a store whose clock stands still.
func openAt(t *testing.T, o store.Options, now time.Time) *store.Store {
	t.Helper()
	o.Now = func() time.Time { return now }
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkKnown(t *testing.T, s *store.Store, id int64, want bool) {
	t.Helper()
	if known, err := s.KnowsEventID(t.Context(), id); err != nil || known != want {
		t.Errorf("event %d is known: %v, %v; want %v", id, known, err, want)
	}
}
