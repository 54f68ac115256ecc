package queue

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
)

// fill stores 4,000 runs in the queue: 2,000 wait for a group, 500 each are ready, paused, not due and held.
func fill(t *testing.T, d *db.DB) {
	t.Helper()
	plantest.Fill(t, d, 4_000, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	gate := `CASE WHEN number <= 2000 THEN 'group' WHEN number <= 2500 THEN 'ready' WHEN number <= 3000 THEN 'paused' WHEN number <= 3500 THEN 'not_before' ELSE 'held' END`
	plantest.Exec(t, d,
		`INSERT INTO queue_selectors (selector, virtual_time) VALUES ('{}', 0)`,
		`INSERT INTO queue_entries (run_id, attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, not_before, start_by, held, avoid, memory)
			SELECT id, 1, 'job' || (number % 20), 'd', (SELECT id FROM queue_selectors), CASE WHEN number <= 2000 THEN 'group' || (number % 3) ELSE '' END, 8, number, `+gate+`, created_at,
			CASE WHEN number > 3000 AND number <= 3500 THEN created_at END, CASE WHEN number % 100 = 0 THEN created_at END, CASE WHEN number > 3500 THEN 'restored' ELSE '' END, '', 0 FROM runs`,
		`INSERT INTO queue_ready (selector, rank, run_id, job, group_name, weight, avoid, work) SELECT selector, rank, run_id, job, group_name, weight, avoid, 'd' FROM queue_entries WHERE gate = 'ready'`,
	)
	plantest.Analyze(t, d)
}

// What is blocked costs nothing: the queries of the matcher begin in an index where their rows are,
// and do not sort.
func TestTheQueueIsReadOffIndexes(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			fill(t, d)
			for _, q := range []struct {
				name, query string
				args        []any
				index       string
			}{
				{"due runs", dueRuns, []any{1, 200}, "queue_entries_later"},
				{"runs queued by a clock that was ahead", laterByClock, []any{int64(1) << 60, 200}, "queue_entries_oldest"},
				{"paused jobs", nextPausedJob, []any{""}, "queue_entries_paused"},
				{"groups", nextGroup, []any{""}, "queue_entries_of_group"},
				{"selectors of a group", nextSelector, []any{"group1", -1}, "queue_entries_of_group"},
				{"first of a group", firstOfGroup, []any{"group1", 1, 3}, "queue_entries_of_group"},
			} {
				plan := plantest.IndexPlan(t, d, q.query, q.args...)
				for _, bad := range []string{"TEMP B-TREE", "Sort", "Seq Scan", "SCAN queue"} {
					if strings.Contains(plan, bad) {
						t.Errorf("%s: the plan has %s:\n%s", q.name, bad, plan)
					}
				}
				if !strings.Contains(plan, q.index) {
					t.Errorf("%s: the plan does not use %s:\n%s", q.name, q.index, plan)
				}
			}
		})
	}
}
