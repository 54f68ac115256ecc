package maintenance

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/job"
)

// What retention selects once a minute reads none of the runs, or of their blocks, from the
// beginning of the table to its end, and sorts none.
func TestRetentionReadsNoTableWhole(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.FillEnded(t, d, now)
			for _, q := range []struct {
				name, query string
				args        []any
				indexes     []string
			}{
				{"old runs", oldRuns, []any{db.Micros(now.Add(-time.Hour)), 20, db.Micros(now)}, []string{"runs_newest"}},
				{"old runs of a job", oldRunsOf, []any{db.Micros(now.Add(-time.Hour)), 20, db.Micros(now), "job1"}, []string{"runs_"}},
				{"oldest run", oldestRun, []any{db.Micros(now)}, []string{"runs_newest"}},
				{"oldest run with a later one", oldestWithLater, []any{db.Micros(now)}, []string{"runs_newest"}},
				{"all but the last runs", beyondLastRuns, []any{"job1", 20, 5, db.Micros(now)}, []string{"runs_of_job"}},
				{"bytes of active runs", bytesOfActive, nil, []string{"runs_of_state"}},
			} {
				plan := plantest.IndexPlan(t, d, q.query, q.args...)
				for _, index := range q.indexes {
					if !strings.Contains(plan, index) {
						t.Errorf("the plan of %q does not use %s:\n%s", q.name, index, plan)
					}
				}
				for _, whole := range []string{"Seq Scan on runs", "Seq Scan on blocks", "SCAN runs\n", "SCAN blocks", "TEMP B-TREE", "Sort Key"} {
					if strings.Contains(plan, whole) {
						t.Errorf("the plan of %q reads or sorts a whole table:\n%s", q.name, plan)
					}
				}
			}
		})
	}
}

// PostgreSQL, too, finds by an index what has expired.
func TestPostgresFindsWhatHasExpiredByAnIndex(t *testing.T) {
	d := plantest.Open(t, "PostgreSQL")
	e := attemptExpiry
	plan := plantest.IndexPlan(t, d, e.Statement(), 1, 1)
	if !strings.Contains(plan, "Index Cond: ("+e.At+" < ") || strings.Contains(plan, "Seq Scan on "+e.Table) {
		t.Errorf("%s:\n%s", e.Table, plan)
	}
}

// What has expired is selected all the time, and agents wait for the transaction that deletes it: it reads
// nothing else.
func TestWhatHasExpiredIsFoundByAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	e := attemptExpiry
	plan := plantest.Plan(t, d, e.Statement(), 1, 1)
	if !strings.Contains(plan, "SEARCH "+e.Table+" USING") || !strings.Contains(plan, " INDEX ") ||
		!strings.Contains(plan, "("+e.At+"<?)") || strings.Contains(plan, "SCAN "+e.Table+"\n") {
		t.Errorf("%s:\n%s", e.Table, plan)
	}
}

// Each state is one in which a run has ended, or one in which it has not.
func TestStatesAreOverOrNot(t *testing.T) {
	for _, state := range job.States() {
		quoted := "'" + string(state) + "'"
		if in, out := strings.Contains(endedStates, quoted), strings.Contains(otherStates, quoted); in != state.Terminal() || out == in {
			t.Errorf("%s: among those that have ended: %t, among the others: %t; it has ended: %t", state, in, out, state.Terminal())
		}
	}
}

// One transaction deletes a bounded number of expired rows, because agents wait for it.
func TestRowsExpireInSmallSteps(t *testing.T) {
	if e := attemptExpiry; e.Batch <= 0 || e.Batch > 1000 {
		t.Errorf("one transaction deletes %d rows of %s", e.Batch, e.Table)
	}
}
