package notify

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job/api"
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
			db, err := store.Open(t.Context(), keyed(t, o))
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
		entry := outbox.Entry{Kind: outbox.Cancel, Run: bad, Attempt: 1, What: outbox.WhatCanceled, By: "ada", At: time.Now().Add(-time.Minute)}
		if err := db.AddOutbox(t.Context(), []outbox.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		h := newRecorder()
		setRoute(t, db, api.Route{Name: "a-damaged", URL: "https://example.com/", Secret: NewSecret()})
		setRoute(t, db, api.Route{Name: "team", URL: receiver(t, h.ServeHTTP), Secret: NewSecret()})
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

// A cancel whose result cannot be stored, first in the queue, holds up none behind it.
func TestAnActionThatCannotBeStoredHoldsUpNone(t *testing.T) {
	onBothWithSQL(t, func(t *testing.T, db *store.Store, raw *sql.DB) {
		var runs []string
		for n := range 3 {
			runs = append(runs, fail(t, db, "train", 1))
			entry := outbox.Entry{
				Kind: outbox.Cancel, Run: runs[n], Attempt: 1, What: outbox.WhatCanceled, By: "ada",
				At: time.Now().Add(time.Duration(n-10) * time.Minute),
			}
			if err := db.AddOutbox(t.Context(), []outbox.Entry{entry}); err != nil {
				t.Fatal(err)
			}
		}
		refuse := []string{`CREATE TRIGGER refuse BEFORE UPDATE ON outbox WHEN OLD.run_id = '` + runs[0] + `' AND OLD.kind = 'cancel'
			BEGIN SELECT RAISE(ABORT, 'refused'); END`}
		allow := `DROP TRIGGER refuse`
		if strings.HasSuffix(t.Name(), "postgres") {
			refuse = []string{
				`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
				`CREATE TRIGGER refuse BEFORE UPDATE ON outbox FOR EACH ROW WHEN (OLD.run_id = '` + runs[0] + `' AND OLD.kind = 'cancel') EXECUTE FUNCTION refuse()`,
			}
			allow += ` ON outbox`
		}
		for _, one := range refuse {
			if _, err := raw.ExecContext(t.Context(), one); err != nil {
				t.Fatal(err)
			}
		}
		pending := func() (ids []string) {
			all, err := db.Actions(t.Context(), query.Actions{Limit: 100, Status: outbox.Pending})
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				if a.Kind == outbox.Cancel {
					ids = append(ids, a.Run)
				}
			}
			return ids
		}
		work(t, db, nil)
		counted(t, db, func(map[string]int) bool { return len(pending()) == 1 })
		if got := pending(); got[0] != runs[0] {
			t.Errorf("%s is pending, want %s", got[0], runs[0])
		}
		if got := kindsInTrouble(t, db); !slices.Equal(got, []string{"action"}) {
			t.Errorf("troubled items: %q", got)
		}
		if _, err := raw.ExecContext(t.Context(), allow); err != nil {
			t.Fatal(err)
		}
		counted(t, db, func(map[string]int) bool { return len(pending()) == 0 && len(kindsInTrouble(t, db)) == 0 })
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
	inTime(t, api.Route{}, func(m *memory, b *mailbox) {
		m.locked(func() {
			for n := range 500 {
				m.cancels = append(m.cancels, api.Action{ID: int64(1000 + n), Kind: outbox.Cancel, Run: "x"})
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
