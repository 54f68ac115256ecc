package jobnames

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/job"
)

// The last runs of jobs are found by an index, whatever the filters are, and no table is read as a whole or sorted.
func TestLastRunsAreFoundByAnIndex(t *testing.T) {
	lite, postgres := plantest.Open(t, "SQLite"), plantest.Open(t, "PostgreSQL")
	plantest.FillEnded(t, postgres, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for name, q := range map[string]query.Jobs{
		"state": {States: []job.State{job.Failed, job.Lost}}, "label": {Labels: map[string]string{"team": "db"}},
		"both": {States: []job.State{job.Failed}, Labels: map[string]string{"team": "db", "site": "fra"}},
	} {
		statement, args := lastRunQuery(q, "job1", "job9")
		if plan := plantest.Plan(t, lite, statement, args...); !strings.Contains(plan, "runs_of_job (job=?)") || strings.Contains(plan, "TEMP B-TREE") ||
			strings.Contains(plan, "SCAN runs\n") || strings.Contains(plan, "SCAN l\n") {
			t.Errorf("%s: plan of %s:\n%s", name, statement, plan)
		}
		if plan := plantest.Plan(t, postgres, statement, args...); !strings.Contains(plan, "runs_of_job") || strings.Contains(plan, "Seq Scan on runs") {
			t.Errorf("%s: plan of %s:\n%s", name, statement, plan)
		}
	}
	for what, statement := range map[string]string{"run_counts": WithRuns, "job_due": withDue, "schedules": withSchedules} {
		if plan := plantest.Plan(t, lite, statement, "a", 10); !strings.Contains(plan, "SEARCH "+what) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan of %s:\n%s", statement, plan)
		}
	}
}
