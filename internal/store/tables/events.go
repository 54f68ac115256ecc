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
		l := insertEvent(&events[i])
		if err := t.ReadRow(ctx, l.Query, l.Args, l.ID); err != nil {
			return fmt.Errorf("%s: %w", l.What, err)
		}
	}
	return nil
}

// QueueEvents is InsertEvents; the ids are set when the transaction is committed. Do not copy the events before.
func QueueEvents(ctx context.Context, t *db.Tx, events []job.RunEvent) error {
	for i := range events {
		if err := t.Queue(ctx, insertEvent(&events[i])); err != nil {
			return err
		}
	}
	return nil
}

// insertEvent returns the statement that stores an event, whose time it sets as it is stored.
func insertEvent(e *job.RunEvent) db.Statement {
	e.At = db.FromMicros(db.Micros(e.At))
	return db.Statement{
		Query: `INSERT INTO events (run_id, attempt, at, clock, kind, from_value, to_value, rule, evidence)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		Args: []any{e.Run, e.Attempt, db.Micros(e.At), string(e.Clock), string(e.Kind), e.From, e.To, e.Rule, e.Evidence},
		What: "store an event of run " + e.Run, ID: &e.ID,
	}
}
