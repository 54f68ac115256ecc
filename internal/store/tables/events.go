package tables

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// InsertEvents stores events and sets their ids. The transaction has locked the runs, so the ids of
// one run's events are in their order.
func InsertEvents(ctx context.Context, t *db.Tx, events []job.RunEvent) error {
	for i := range events {
		e := &events[i]
		err := t.QueryRowContext(ctx, `INSERT INTO events (run_id, attempt, at, clock, kind, from_value, to_value, rule, evidence)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
			e.Run, e.Attempt, db.Micros(e.At), e.Clock, e.Kind, e.From, e.To, e.Rule, e.Evidence).Scan(&e.ID)
		if err != nil {
			return fmt.Errorf("store an event of run %s: %w", e.Run, err)
		}
		e.At = db.FromMicros(db.Micros(e.At))
	}
	return nil
}
