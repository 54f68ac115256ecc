package access

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
)

// One transaction deletes a bounded number of expired rows, because agents wait for it.
func TestRowsExpireInSmallSteps(t *testing.T) {
	for _, e := range accessExpiry {
		if e.Batch <= 0 || e.Batch > 1000 {
			t.Errorf("one transaction deletes %d rows of %s", e.Batch, e.Table)
		}
	}
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			for i := range 30 {
				if _, err := d.Writer.Exec(`INSERT INTO logins (hash, return_to, expires_at) VALUES ($1, '/', $2)`, fmt.Append(nil, i), i); err != nil {
					t.Fatal(err)
				}
			}
			res, err := d.Writer.Exec(loginExpiry.Statement(), 20, 7)
			if err != nil {
				t.Fatal(err)
			}
			var first int64
			if err := d.Reader.QueryRow(`SELECT MIN(expires_at) FROM logins`).Scan(&first); err != nil {
				t.Fatal(err)
			}
			if n, err := res.RowsAffected(); err != nil || n != 7 || first != 7 {
				t.Errorf("%d rows were deleted, and the first is that of %d, %v; want the first 7", n, first, err)
			}
		})
	}
}

// The owners that are deleted are found by the keys of their rows, and so are their runs.
func TestOwnersAreDeletedByTheirKeys(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			statement, args := deleteOwners(d.Dialect, []string{"a", "b"}, time.Unix(1, 0))
			plan := plantest.IndexPlan(t, d, statement, args...)
			for _, whole := range []string{"Seq Scan on run_owners", "Seq Scan on attempts", "SCAN run_owners", "SCAN a\n", "SCAN attempts"} {
				if strings.Contains(plan, whole) {
					t.Errorf("the plan reads a table from its beginning to its end:\n%s", plan)
				}
			}
		})
	}
}
