package runs

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
)

// What needs attention, and the last day of each job, is read whenever the page is opened: it is read
// off indexes, and the last runs of jobs without their rows.
func TestTheOverviewUsesIndexes(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			d := plantest.Open(t, engine)
			plantest.FillEnded(t, d, now)
			lastRuns, names := lastRunsQuery(d.Dialect, []string{"job1", "job2"})
			last := "COVERING INDEX runs_of_job ("
			if d.Dialect.Postgres {
				last = "Index Only Scan Backward using runs_of_job on"
			}
			for _, q := range []struct {
				query string
				args  []any
				want  string
			}{{lastDecided, nil, last}, {unhealthyRuns, nil, "runs_health"}, {waitingRuns, nil, "runs_waiting"}, {lastRuns, names, last}} {
				plan := plantest.IndexPlan(t, d, q.query, q.args...)
				if !strings.Contains(plan, q.want) || strings.Contains(plan, "Seq Scan on runs") || strings.Contains(plan, "SCAN runs\n") || strings.Contains(plan, "SCAN r\n") {
					t.Errorf("the plan of %s has no %s:\n%s", q.query, q.want, plan)
				}
			}
		})
	}
}
