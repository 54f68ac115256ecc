package health

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
)

// What is judged of the queue is found by indexes, however many runs wait: a page, and what has a finding.
func TestWaitingRunsAreFoundByIndexes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.Fill(t, d, 20_000, now)
			plantest.Exec(t, d,
				`UPDATE runs SET leased = 0, state = 'queued', health = CASE WHEN number % 1000 = 0 THEN 'warning' ELSE '' END WHERE number > 100`,
				`INSERT INTO queue_selectors (selector, virtual_time) VALUES ('{}', 0)`,
				`INSERT INTO queue_entries (run_id, attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, held, avoid, memory, waits_since)
					SELECT id, 1, job, 'd', (SELECT id FROM queue_selectors), '', 8, number, 'ready', created_at, '', '', 0, created_at FROM runs WHERE number > 100`,
				`INSERT INTO permits (run_id, attempt, incarnation, claim, worker, host, at, memory, avoided, active)
					SELECT id, 1, id, id, 'w', 'h', created_at, 0, '[]', CASE WHEN number <= 100 THEN 1 ELSE 0 END FROM runs`,
			)
			plantest.Analyze(t, d)
			for _, q := range []struct {
				name, query string
				args        []any
				indexes     []string
			}{
				{"page", waitingPage, []any{0, "", 100}, []string{"queue_entries_oldest"}},
				{"found", waitingFound, []any{100}, []string{"runs_waiting"}},
				{"one", waitingOne, []any{"a"}, nil},
				{"started", lastStarted, nil, []string{"permits_worker"}},
			} {
				plan := plantest.IndexPlan(t, d, q.query, q.args...)
				for _, bad := range []string{"Seq Scan", "SCAN runs\n", "SCAN o", "SCAN r\n", "SCAN e\n", "SCAN p\n", "TEMP B-TREE FOR ORDER"} {
					if strings.Contains(plan, bad) {
						t.Errorf("%s: the plan has %q:\n%s", q.name, bad, plan)
					}
				}
				for _, index := range q.indexes {
					if !strings.Contains(plan, index) {
						t.Errorf("%s: the plan does not use %s:\n%s", q.name, index, plan)
					}
				}
			}
		})
	}
}
