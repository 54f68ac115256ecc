package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/access"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
	"stint.dev/stint/internal/store/postgrestest"
)

// eachEngine calls test with an empty store on each database.
func eachEngine(t *testing.T, test func(t *testing.T, s *Store)) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			if engine == "PostgreSQL" {
				o = Options{URL: postgrestest.URL(t)}
			}
			s, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, s)
		})
	}
}

// However many rows have expired, one transaction deletes a bounded number of them: agents wait for
// it.
func TestRowsExpireInSmallSteps(t *testing.T) {
	for _, e := range append(slices.Clone(access.ExpiringAccess), maintenance.ExpiringAttempts) {
		if e.Batch <= 0 || e.Batch > 1000 {
			t.Errorf("one transaction deletes %d rows of %s", e.Batch, e.Table)
		}
	}
	logins := access.ExpiringAccess[slices.IndexFunc(access.ExpiringAccess, func(e db.ExpiryRule) bool { return e.Table == "logins" })]
	eachEngine(t, func(t *testing.T, s *Store) {
		for i := range 30 {
			if _, err := s.Writer.Exec(`INSERT INTO logins (hash, return_to, expires_at) VALUES ($1, '/', $2)`, fmt.Append(nil, i), i); err != nil {
				t.Fatal(err)
			}
		}
		res, err := s.Writer.Exec(logins.Statement(), 20, 7)
		if err != nil {
			t.Fatal(err)
		}
		var first int64
		if err := s.Reader.QueryRow(`SELECT MIN(expires_at) FROM logins`).Scan(&first); err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 7 || first != 7 {
			t.Errorf("%d rows were deleted, and the first is that of %d, %v; want the first 7", n, first, err)
		}
	})
}

// The owners that are deleted are found by the keys of their rows, and so are their runs.
func TestOwnersAreDeletedByTheirKeys(t *testing.T) {
	eachEngine(t, func(t *testing.T, s *Store) {
		statement, args := access.DeleteOwners(s.Dialect, []string{"a", "b"}, time.Unix(1, 0))
		plan := planOf(t, s, statement, args...)
		for _, whole := range []string{"Seq Scan on run_owners", "Seq Scan on attempts", "SCAN run_owners", "SCAN a\n", "SCAN attempts"} {
			if strings.Contains(plan, whole) {
				t.Errorf("the plan reads a table from its beginning to its end:\n%s", plan)
			}
		}
	})
}
