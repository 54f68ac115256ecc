package access

import (
	"strings"
	"testing"

	"stint.dev/stint/internal/store/plantest"
)

// What has expired is selected all the time, and agents wait for the transaction that deletes it: it reads
// nothing else.
func TestWhatHasExpiredIsFoundByAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	for _, e := range accessExpiry {
		plan := plantest.Plan(t, d, e.Statement(), 1, 1)
		if !strings.Contains(plan, "SEARCH "+e.Table+" USING") || !strings.Contains(plan, " INDEX ") ||
			!strings.Contains(plan, "("+e.At+"<?)") || strings.Contains(plan, "SCAN "+e.Table+"\n") {
			t.Errorf("%s:\n%s", e.Table, plan)
		}
	}
}

// PostgreSQL, too, finds by an index what has expired.
func TestPostgresFindsWhatHasExpiredByAnIndex(t *testing.T) {
	d := plantest.Open(t, "PostgreSQL")
	for _, e := range accessExpiry {
		plan := plantest.IndexPlan(t, d, e.Statement(), 1, 1)
		if !strings.Contains(plan, "Index Cond: ("+e.At+" < ") || strings.Contains(plan, "Seq Scan on "+e.Table) {
			t.Errorf("%s:\n%s", e.Table, plan)
		}
	}
}
