package notify

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// onBothWithSQL is onBothEngines for tests that damage the database.
func onBothWithSQL(t *testing.T, test func(t *testing.T, db *store.Store, raw *sql.DB)) {
	dir, url := t.TempDir(), ""
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			o, driver, dsn := store.Options{Dir: dir}, "sqlite", "file:"+filepath.Join(dir, "stint.db")+"?_pragma=busy_timeout(10000)"
			if name == "postgres" {
				url = postgrestest.URL(t)
				o, driver, dsn = store.Options{URL: url}, "pgx", url
			}
			db, err := store.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := sql.Open(driver, dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				for _, c := range []interface{ Close() error }{raw, db} {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
			test(t, db, raw)
		})
	}
}

// A run that cannot be read, a cancel of it and a route that cannot be read hold up no
// message, not even that about the run.
func TestBadRowsHoldUpNoMessage(t *testing.T) {
	onBothWithSQL(t, func(t *testing.T, db *store.Store, raw *sql.DB) {
		bad := fail(t, db, "train", 1)
		entry := index.OutboxEntry{Kind: index.OutboxCancel, Run: bad, Attempt: 1, What: index.WhatCanceled, By: "ada", At: time.Now().Add(-time.Minute)}
		if err := db.AddOutbox(t.Context(), []index.OutboxEntry{entry}); err != nil {
			t.Fatal(err)
		}
		h := newHeard()
		setRoute(t, db, index.Route{Name: "a-damaged", URL: "https://example.com/", Secret: NewSecret()})
		setRoute(t, db, index.Route{Name: "team", URL: receiver(t, h.ServeHTTP), Secret: NewSecret()})
		for statement, arg := range map[string]string{
			`UPDATE runs SET doc = '{' WHERE id = $1`:     bad,
			`UPDATE routes SET doc = 'x' WHERE name = $1`: "a-damaged",
		} {
			if _, err := raw.ExecContext(t.Context(), statement, arg); err != nil {
				t.Fatal(err)
			}
		}
		good := fail(t, db, "train", 1)
		work(t, db, nil)
		for len(h.items()) < 2 { // in one message or in two
			h.wait(t, 1)
		}
		var sent []string
		for _, i := range h.items() {
			sent = append(sent, i.Run.ID+" "+i.What)
		}
		if want := []string{bad + " failed", good + " failed"}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
		wantKinds := []string{"action", "route"}
		counted(t, db, func(map[string]int) bool { return slices.Equal(kindsInTrouble(t, db), wantKinds) })
	})
}

func kindsInTrouble(t *testing.T, db *store.Store) []string {
	t.Helper()
	all, err := db.Troubled(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, item := range all {
		kinds = append(kinds, item.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Hundreds of cancels that are followed one by one hold up no message.
func TestManyCancelsHoldUpNoMessage(t *testing.T) {
	inTime(t, index.Route{}, func(m *memory, b *mailbox) {
		m.locked(func() {
			for n := range 500 {
				m.cancels = append(m.cancels, index.Action{ID: int64(1000 + n), Kind: index.OutboxCancel, Run: "x"})
			}
			m.cancelTakes = time.Minute
		})
		pass(3 * time.Second)
		m.raise("run")
		pass(2 * time.Second)
		if took, _ := b.seen(); len(took) != 1 {
			t.Errorf("taken within 2 s: %q", took)
		}
		m.locked(func() { m.cancels = nil; m.cancelTakes = 0 })
		pass(time.Minute)
	})
}
