package queue

import (
	"context"
	"fmt"
)

// Wrong is a row of the queue that contradicts another one.
type Wrong struct{ Run, What string }

// contradictions select runs whose rows in the queue cannot be right. Each transaction of the queue keeps them
// empty.
var contradictions = []struct{ what, query string }{
	{
		"it is in the queue, and its state is neither queued nor retrying",
		`SELECT e.run_id FROM queue_entries e JOIN runs r ON r.id = e.run_id WHERE r.state NOT IN ('queued', 'retrying')`,
	},
	{
		"it was submitted and waits, and is not in the queue: it would never start",
		`SELECT s.run_id FROM submissions s JOIN runs r ON r.id = s.run_id WHERE r.state IN ('queued', 'retrying') AND NOT EXISTS (SELECT 1 FROM queue_entries e WHERE e.run_id = s.run_id)`,
	},
	{
		"it is ready in one table of the queue and not in the other",
		`SELECT e.run_id FROM queue_entries e LEFT JOIN queue_ready r ON r.run_id = e.run_id WHERE (e.gate = 'ready') <> (r.run_id IS NOT NULL) OR r.rank <> e.rank OR r.selector <> e.selector`,
	},
	{
		"a worker has it, and it has no place in its group",
		`SELECT e.run_id FROM queue_entries e WHERE e.gate = 'taken' AND e.group_name <> '' AND NOT EXISTS (SELECT 1 FROM queue_places p WHERE p.run_id = e.run_id AND p.group_name = e.group_name)`,
	},
	{
		"it has ended, and has a place in a group",
		`SELECT p.run_id FROM queue_places p JOIN runs r ON r.id = p.run_id WHERE r.state IN ('succeeded', 'failed', 'canceled', 'timed_out')`,
	},
}

// CheckQueue returns the runs whose rows in the queue contradict each other.
func (s *Queue) CheckQueue(ctx context.Context) (wrong []Wrong, err error) {
	for _, c := range contradictions {
		runs, err := s.ReadTexts(ctx, c.query+` ORDER BY 1`)
		if err != nil {
			return wrong, fmt.Errorf("check the queue: %w", err)
		}
		for _, run := range runs {
			wrong = append(wrong, Wrong{Run: run, What: "run " + run + ": " + c.what})
		}
	}
	return wrong, nil
}
