package store

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/runs"
)

// What needs attention, and the last day of each job, is asked for whenever somebody looks: it is read
// off indexes, and the last runs of jobs without their rows.
func TestTheOverviewUsesIndexes(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			s := storeOfEndedRuns(t, engine, now)
			lastRuns, names := runs.LastRunsOf(s.Dialect, []string{"job1", "job2"})
			last := "COVERING INDEX runs_of_job ("
			if s.Dialect.Postgres {
				last = "Index Only Scan Backward using runs_of_job on"
			}
			for _, q := range []struct {
				query string
				args  []any
				want  string
			}{{runs.LastDecided, nil, last}, {runs.UnwellRuns, nil, "runs_health"}, {lastRuns, names, last}} {
				plan := planOf(t, s, q.query, q.args...)
				if !strings.Contains(plan, q.want) || strings.Contains(plan, "Seq Scan on runs") || strings.Contains(plan, "SCAN runs\n") || strings.Contains(plan, "SCAN r\n") {
					t.Errorf("the plan of %s has no %s:\n%s", q.query, q.want, plan)
				}
			}
		})
	}
}
