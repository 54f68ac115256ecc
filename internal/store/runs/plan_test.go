package runs

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// A page of runs must not read, or sort, the whole table: SQLite shows how it would run
// the query. Only a search in text reads everything, in order, until the page is full.
func TestRunsUseAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	cursor := CursorOf(1, "0199aaaa-0000-7000-8000-000000000001")
	for name, tt := range map[string]struct {
		query query.Runs
		want  []string
	}{
		"all":             {query.Runs{}, []string{"SCAN runs USING INDEX runs_newest"}},
		"next page":       {query.Runs{Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_newest ((start_at,id)<(?,?))"}},
		"job":             {query.Runs{Job: "a", Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_of_job (job=? AND (start_at,id)<(?,?))"}},
		"states":          {query.Runs{States: []job.State{job.Failed, job.Lost}, Cursor: cursor}, []string{"SEARCH runs USING INDEX runs_of_state (state=? AND (start_at,id)<(?,?))"}},
		"job and states":  {query.Runs{Job: "a", States: []job.State{job.Failed, job.Lost}}, []string{"SEARCH runs USING INDEX runs_of_job_state (job=? AND state=?)"}},
		"health":          {query.Runs{Health: []job.Health{job.Critical}}, []string{"SEARCH runs USING COVERING INDEX runs_health (health=?)", "runs USING INDEX runs_waiting"}},
		"healthy":         {query.Runs{Health: []job.Health{job.Healthy}}, []string{"SEARCH runs USING INDEX runs_health (health=?)"}},
		"text, newest on": {query.Runs{Text: "x"}, []string{"SCAN runs USING INDEX runs_newest"}},
	} {
		t.Run(name, func(t *testing.T) {
			query, args, err := runsQuery(tt.query, 50)
			if err != nil {
				t.Fatal(err)
			}
			plan := plantest.Plan(t, d, query, args...)
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
	d := plantest.Open(t, "SQLite")
	for name, q := range map[string]query.Runs{
		"text":       {Text: "needle"},
		"next page":  {Text: "needle", Cursor: CursorOf(1, "0199aaaa-0000-7000-8000-000000000001")},
		"and states": {Text: "needle", Job: "a", States: []job.State{job.Failed, job.Lost}},
	} {
		query, args, err := New(d, troubled.New(d)).pageQuery(t.Context(), q, 50)
		if err != nil {
			t.Fatal(err)
		}
		plan := plantest.Plan(t, d, query, args...)
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

// The runs before and after a run, and the last runs of jobs, are read off indexes.
func TestNeighborsAreFoundByAnIndex(t *testing.T) {
	d := plantest.Open(t, "SQLite")
	for query, want := range map[string]string{
		previousRun: "(job=? AND (start_at,id)<(?,?))", nextRun: "(job=? AND (start_at,id)>(?,?))",
	} {
		if plan := plantest.Plan(t, d, query, "a", 1, "b"); !strings.Contains(plan, "INDEX runs_of_job "+want) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("plan of %s:\n%s", query, plan)
		}
	}
	if plan := plantest.Plan(t, d, lastRunQuery, "a", "b"); !strings.Contains(plan, "runs_of_job (job=?)") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN runs\n") {
		t.Errorf("plan of %s:\n%s", lastRunQuery, plan)
	}
	if plan := plantest.Plan(t, d, `SELECT id`+goodRunsBefore+`10`, "a", 1, "b"); !strings.Contains(plan, "runs_of_job_state (job=? AND state=? AND (start_at,id)<(?,?))") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("plan of good runs:\n%s", plan)
	}
}

// On PostgreSQL, too, what is selected of runs in the order of their starts reads an index and sorts
// nothing but the few rows that are merged, also for an overview: the run of each job that
// ended and started last.
func TestStartsAreReadOffIndexesOnPostgres(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := plantest.Open(t, "PostgreSQL")
	plantest.FillEnded(t, d, now)
	const last = "0199aaaa-0000-7000-8000-000000000001"
	end := db.Micros(now) + 3000 // most of its runs started before that
	cursor := CursorOf(end, last)
	type selection struct {
		name, query string
		args        []any
		index       string
	}
	at := []any{"job1", end, last}
	ended := `SELECT r.id FROM jobs j CROSS JOIN LATERAL (SELECT id FROM runs WHERE job = j.name AND state = 'succeeded' ORDER BY start_at DESC, id DESC LIMIT 1) AS r`
	all := []selection{
		{"last runs", lastRunQuery, []any{"job1", "job9"}, "runs_of_job"},
		{"last ended runs", ended, nil, "runs_of_job_state"},
		{"the run before", previousRun, at, "runs_of_job"},
		{"the run after", nextRun, at, "runs_of_job"},
		{"good runs before", `SELECT id` + goodRunsBefore + `10`, at, "runs_of_job_state"},
	}
	for name, tt := range map[string]struct {
		q     query.Runs
		index string
	}{
		"newest": {query.Runs{}, "runs_newest"}, "next page": {query.Runs{Cursor: cursor}, "runs_newest"},
		"since": {query.Runs{Since: now}, "runs_newest"}, "job": {query.Runs{Job: "job1", Cursor: cursor}, "runs_of_job"},
		"state": {query.Runs{States: []job.State{job.Running}}, "runs_of_state"},
	} {
		query, args, err := runsQuery(tt.q, 50)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, selection{name, query, args, tt.index})
	}
	for _, a := range all {
		plan := plantest.IndexPlan(t, d, a.query, a.args...)
		if !strings.Contains(plan, a.index) || strings.Contains(plan, "Seq Scan on runs") {
			t.Errorf("the plan of %q does not use %s:\n%s", a.name, a.index, plan)
		}
	}
}
