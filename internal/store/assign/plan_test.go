package assign

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
)

// What is blocked costs nothing: the queries of polls begin in an index where their rows are, and do not sort.
func TestReadyRunsAreReadOffIndexes(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.Fill(t, d, 4_000, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			plantest.Exec(t, d,
				`INSERT INTO queue_selectors (selector, virtual_time) VALUES ('{}', 0)`,
				`INSERT INTO queue_entries (run_id, attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, held, avoid, memory)
					SELECT id, 1, 'job' || (number % 20), 'd', (SELECT id FROM queue_selectors), '', 8, number, CASE WHEN number > 500 THEN 'group' ELSE 'ready' END, created_at, '', '', 0 FROM runs`,
				`INSERT INTO queue_ready (selector, rank, run_id, job, group_name, weight, avoid, work) SELECT selector, rank, run_id, job, group_name, weight, avoid, 'd' FROM queue_entries WHERE gate = 'ready'`,
			)
			plantest.Analyze(t, d)
			for _, q := range []struct {
				name, query string
				args        []any
				index       string
			}{
				{"runs for a worker", readyRows(d.Dialect, anywhere, false), []any{1, "\nh\n", 5}, "queue_ready"},
				{"selectors with runs for a worker", readySelectors(d.Dialect), nil, "queue_ready"},
				{"whether runs of a selector avoid hosts", readySelectors(d.Dialect), nil, "queue_ready_avoids"},
				{"runs of a job for a worker", readyRows(d.Dialect, anywhere+` AND job = $4`, true), []any{1, "\nh\n", 5, "job1"}, "queue_ready_of_job"},
				{"runs that avoid hosts", readyRows(d.Dialect, notHere, false), []any{1, "\nh\n", 5}, "queue_ready_avoids"},
			} {
				plan := plantest.IndexPlan(t, d, q.query, q.args...)
				for _, bad := range []string{"TEMP B-TREE", "Sort", "Seq Scan", "SCAN queue"} {
					if strings.Contains(plan, bad) && (bad == "Seq Scan" || q.index != "queue_ready_avoids") { // few avoid hosts
						t.Errorf("%s: the plan has %s:\n%s", q.name, bad, plan)
					}
				}
				if !strings.Contains(strings.ReplaceAll(plan, "PRIMARY KEY", "queue_ready"), q.index) {
					t.Errorf("%s: the plan does not use %s:\n%s", q.name, q.index, plan)
				}
			}
		})
	}
}
