package outbox

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
)

// Whether a success is news is decided at the end of every run.
func TestTheRunBeforeIsFoundByAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	plan := plantest.Plan(t, d, runsBefore, "a", 1, "b")
	if !strings.Contains(plan, "SEARCH runs USING INDEX runs_of_job (job=? AND (start_at,id)<(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan:\n%s", plan)
	}
}

// Late runs are selected each second, of few runs that wait.
func TestLateRunsAreFoundByAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	for _, query := range []string{lateHosts(d.Dialect), lateRunsOf(d.Dialect)} {
		plan := plantest.Plan(t, d, query, 1, 2, 3)
		if !strings.Contains(plan, "USING INDEX runs_late") && !strings.Contains(plan, "USING COVERING INDEX runs_late") || strings.Contains(plan, "SCAN runs\n") || strings.Contains(plan, "runs_of_host") {
			t.Errorf("plan of %s:\n%s", query, plan)
		}
	}
	if plan := plantest.Plan(t, d, passedAfter, "a", 1, "b"); !strings.Contains(plan, "SEARCH runs USING INDEX runs_of_job_state (job=? AND state=? AND (start_at,id)>(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan of %s:\n%s", passedAfter, plan)
	}
	if plan := plantest.Plan(t, d, succeededAfter, "a", 1, 2); !strings.Contains(plan, "INDEX runs_of_job_state (job=? AND state=? AND start_at>?)") {
		t.Errorf("plan of %s:\n%s", succeededAfter, plan)
	}
}

// On PostgreSQL, too, runs in the order of their starts are read off an index, without a sort.
func TestStartsAreReadOffIndexesOnPostgres(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := plantest.Open(t, "PostgreSQL")
	plantest.FillEnded(t, d, now)
	const last = "0199aaaa-0000-7000-8000-000000000001"
	end := db.Micros(now) + 3000 // most of its runs started before that
	at := []any{"job1", end, last}
	for _, q := range []struct {
		name, query string
		args        []any
		index       string
	}{
		{"failures before", failedBefore, at, "runs_of_job"},
		{"runs before", runsBefore, at, "runs_of_job"},
		{"successes after", passedAfter, at, "runs_of_job"},
		{"any success after", succeededAfter, []any{"job1", end, end}, "runs_of_job"}, // or runs_of_job_state: both have the state
		{"hosts with late runs", lateHosts(d.Dialect), []any{1, 2, 3}, "runs_late"},
	} {
		plan := plantest.IndexPlan(t, d, q.query, q.args...)
		if !strings.Contains(plan, q.index) || strings.Contains(plan, "Seq Scan on runs") {
			t.Errorf("the plan of %q does not use %s:\n%s", q.name, q.index, plan)
		}
	}
}
