package store

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/access"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/job"
)

// A page of runs must not read, or sort, the whole table: SQLite shows how it would run
// the query. Only a search in text reads everything, in order, until the page is full.
func TestRunsUseAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	cursor := runs.CursorOf(1, "0199aaaa-0000-7000-8000-000000000001")
	for name, tt := range map[string]struct {
		query query.Runs
		want  []string
	}{
		"all":             {query.Runs{}, []string{"SCAN runs USING INDEX runs_newest"}},
		"next page":       {query.Runs{Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_newest ((start_at,id)<(?,?))"}},
		"job":             {query.Runs{Job: "a", Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_of_job (job=? AND (start_at,id)<(?,?))"}},
		"states":          {query.Runs{States: []job.State{job.Failed, job.Lost}, Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_of_state (state=? AND (start_at,id)<(?,?))"}},
		"job and states":  {query.Runs{Job: "a", States: []job.State{job.Failed, job.Lost}}, []string{"SEARCH runs USING INDEX runs_of_job_state (job=? AND state=?)"}},
		"health":          {query.Runs{Health: []job.Health{job.Critical}}, []string{"SEARCH runs USING INDEX runs_health (health=?)"}},
		"text, newest on": {query.Runs{Text: "x"}, []string{"SCAN runs USING INDEX runs_newest"}},
	} {
		t.Run(name, func(t *testing.T) {
			query, args, err := runs.RunsQuery(tt.query, 50)
			if err != nil {
				t.Fatal(err)
			}
			plan := explain(t, s, query, args...)
			for _, want := range tt.want {
				if !strings.Contains(plan, want) {
					t.Errorf("plan of %s:\n%swants %q", query, plan, want)
				}
			}
			if strings.Contains(plan, "SCAN runs\n") {
				t.Errorf("the whole table is read:\n%s", plan)
			}
		})
	}
}

// A page of runs with a text is read off the index of texts, and the runs that are not in
// it yet off theirs.
func TestTextsUseAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	for name, q := range map[string]query.Runs{
		"text":       {Text: "needle"},
		"next page":  {Text: "needle", Cursor: runs.CursorOf(1, "0199aaaa-0000-7000-8000-000000000001")},
		"and states": {Text: "needle", Job: "a", States: []job.State{job.Failed, job.Lost}},
	} {
		query, args, err := s.PageQuery(t.Context(), q, 50)
		if err != nil {
			t.Fatal(err)
		}
		plan := explain(t, s, query, args...)
		for _, want := range []string{"run_texts VIRTUAL TABLE INDEX", "SEARCH runs USING INDEX runs_text (text_id=?)", "runs USING INDEX runs_no_text"} {
			if !strings.Contains(plan, want) {
				t.Errorf("plan of %s:\n%swants %q", name, plan, want)
			}
		}
		if strings.Contains(plan, "SCAN runs\n") {
			t.Errorf("the whole table is read:\n%s", plan)
		}
	}
}

// Whether a success is news is asked at the end of every run.
func TestTheRunBeforeIsFoundByAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	plan := explain(t, s, outbox.RunsBefore, "a", 1, "b")
	if !strings.Contains(plan, "SEARCH runs USING INDEX runs_of_job (job=? AND (start_at,id)<(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan:\n%s", plan)
	}
}

// Late runs are looked for each second, of few runs that wait.
func TestLateRunsAreFoundByAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	for _, query := range []string{outbox.LateHosts(s.Dialect), outbox.LateRunsOf(s.Dialect)} {
		plan := explain(t, s, query, 1, 2, 3)
		if !strings.Contains(plan, "USING INDEX runs_late") && !strings.Contains(plan, "USING COVERING INDEX runs_late") || strings.Contains(plan, "SCAN runs\n") || strings.Contains(plan, "runs_of_host") {
			t.Errorf("plan of %s:\n%s", query, plan)
		}
	}
	if plan := explain(t, s, outbox.PassedAfter, "a", 1, "b"); !strings.Contains(plan, "SEARCH runs USING INDEX runs_of_job_state (job=? AND state=? AND (start_at,id)>(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan of %s:\n%s", outbox.PassedAfter, plan)
	}
	for query, want := range map[string]string{
		runs.PreviousRun: "(job=? AND (start_at,id)<(?,?))", runs.NextRun: "(job=? AND (start_at,id)>(?,?))",
	} {
		if plan := explain(t, s, query, "a", 1, "b"); !strings.Contains(plan, "INDEX runs_of_job "+want) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan of %s:\n%s", query, plan)
		}
	}
	if plan := explain(t, s, outbox.SucceededAfter, "a", 1, 2); !strings.Contains(plan, "INDEX runs_of_job_state (job=? AND state=? AND start_at>?)") {
		t.Errorf("plan of %s:\n%s", outbox.SucceededAfter, plan)
	}
	if plan := explain(t, s, runs.LastQuery, "a", "b"); !strings.Contains(plan, "runs_of_job (job=?)") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN runs\n") {
		t.Errorf("plan of %s:\n%s", runs.LastQuery, plan)
	}
	if plan := explain(t, s, `SELECT id`+runs.GoodRunsBefore+`10`, "a", 1, "b"); !strings.Contains(plan, "runs_of_job_state (job=? AND state=? AND (start_at,id)<(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan of good runs:\n%s", plan)
	}
}

// What has expired is looked for all the time, and agents wait for the transaction that
// deletes it: it reads nothing else.
func TestWhatHasExpiredIsFoundByAnIndex(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	for _, e := range append(access.ExpiringAccess, maintenance.ExpiringAttempts) {
		plan := explain(t, s, e.Statement(), 1, 1)
		if !strings.Contains(plan, "SEARCH "+e.Table+" USING") || !strings.Contains(plan, " INDEX ") ||
			!strings.Contains(plan, "("+e.At+"<?)") || strings.Contains(plan, "SCAN "+e.Table+"\n") {
			t.Errorf("%s:\n%s", e.Table, plan)
		}
	}
}

func explain(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.Reader.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// On PostgreSQL, too, what is asked of runs in the order of their starts reads an index and sorts
// nothing but the few rows that are merged, also what an overview asks: the run of each job that
// ended and started last.
func TestStartsAreReadOffIndexesOnPostgres(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := storeOfEndedRuns(t, "PostgreSQL", now)
	const last = "0199aaaa-0000-7000-8000-000000000001"
	end := db.Micros(now) + 3000 // most of its runs started before that
	cursor := runs.CursorOf(end, last)
	type asked struct {
		name, query string
		args        []any
		index       string
	}
	at := []any{"job1", end, last}
	ended := `SELECT r.id FROM jobs j CROSS JOIN LATERAL (SELECT id FROM runs WHERE job = j.name AND state = 'succeeded' ORDER BY start_at DESC, id DESC LIMIT 1) AS r`
	all := []asked{
		{"last runs", runs.LastQuery, []any{"job1", "job9"}, "runs_of_job"},
		{"last ended runs", ended, nil, "runs_of_job_state"},
		{"runs before", outbox.RunsBefore, at, "runs_of_job"},
		{"successes after", outbox.PassedAfter, at, "runs_of_job"},
		{"any success after", outbox.SucceededAfter, []any{"job1", end, end}, "runs_of_job"}, // or runs_of_job_state: both have the state
		{"the run before", runs.PreviousRun, at, "runs_of_job"},
		{"the run after", runs.NextRun, at, "runs_of_job"},
		{"good runs before", `SELECT id` + runs.GoodRunsBefore + `10`, at, "runs_of_job_state"},
		{"hosts with late runs", outbox.LateHosts(s.Dialect), []any{1, 2, 3}, "runs_late"},
	}
	for name, tt := range map[string]struct {
		q     query.Runs
		index string
	}{
		"newest": {query.Runs{}, "runs_newest"}, "next page": {query.Runs{Cursor: cursor}, "runs_newest"},
		"since": {query.Runs{Since: now}, "runs_newest"}, "job": {query.Runs{Job: "job1", Cursor: cursor}, "runs_of_job"},
		"state": {query.Runs{States: []job.State{job.Running}}, "runs_of_state"},
	} {
		query, args, err := runs.RunsQuery(tt.q, 50)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, asked{name, query, args, tt.index})
	}
	for _, a := range all {
		plan := planOf(t, s, a.query, a.args...)
		if !strings.Contains(plan, a.index) || strings.Contains(plan, "Seq Scan on runs") {
			t.Errorf("the plan of %q does not use %s:\n%s", a.name, a.index, plan)
		}
	}
}
