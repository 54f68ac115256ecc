package groups

import (
	"context"
	"fmt"
)

// Wrong is a row of the queue that contradicts another one.
type Wrong struct {
	Run, What string
	// Place says that RepairPlace corrects it.
	Place bool
}

// contradictions select runs whose rows in the queue cannot be right. Each transaction of the queue keeps them
// empty.
var contradictions = []struct {
	what, query string
	place       bool
}{
	{
		"it is in the queue, and its state is neither queued nor retrying",
		`SELECT e.run_id FROM queue_entries e JOIN runs r ON r.id = e.run_id WHERE r.state NOT IN ('queued', 'retrying')`, false,
	},
	{
		"it was submitted and waits, and is not in the queue: it would never start",
		`SELECT s.run_id FROM submissions s JOIN runs r ON r.id = s.run_id WHERE r.state IN ('queued', 'retrying') AND NOT EXISTS (SELECT 1 FROM queue_entries e WHERE e.run_id = s.run_id)`, false,
	},
	{
		"it is ready in one table of the queue and not in the other",
		`SELECT e.run_id FROM queue_entries e LEFT JOIN queue_ready r ON r.run_id = e.run_id WHERE (e.gate = 'ready') <> (r.run_id IS NOT NULL) OR r.rank <> e.rank OR r.selector <> e.selector`, false,
	},
	{"a worker has it or its attempt is active, and it has no place in its group", WithoutPlace, true},
	{"it has a place in a group, and is neither at a worker nor active nor lost", WithWrongPlace, true},
}

// CheckQueue returns the runs whose rows in the queue contradict each other.
func (s *Places) CheckQueue(ctx context.Context) (wrong []Wrong, err error) {
	for _, c := range contradictions {
		runs, err := s.ReadTexts(ctx, c.query+` ORDER BY 1`)
		if err != nil {
			return wrong, fmt.Errorf("check the queue: %w", err)
		}
		for _, run := range runs {
			wrong = append(wrong, Wrong{Run: run, What: "run " + run + ": " + c.what, Place: c.place})
		}
	}
	return wrong, nil
}
