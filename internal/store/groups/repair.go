package groups

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
)

// counts is whether a run r with the entry e counts for the limit of its group: a worker has it, or its attempt is active.
const counts = `(r.state IN ('starting', 'installing', 'running', 'stopping') OR COALESCE(e.gate, '') = 'taken')`

// WithoutPlace and WithWrongPlace select the runs whose places are not as their states are. One whose attempt was lost may have a place that is held, or none.
const (
	WithoutPlace = `SELECT s.run_id FROM submissions s JOIN runs r ON r.id = s.run_id LEFT JOIN queue_entries e ON e.run_id = s.run_id
		WHERE s.group_name <> '' AND ` + counts + ` AND NOT EXISTS (SELECT 1 FROM queue_places p WHERE p.run_id = s.run_id AND p.group_name = s.group_name AND p.until IS NULL)`
	WithWrongPlace = `SELECT p.run_id FROM queue_places p WHERE NOT EXISTS (
		SELECT 1 FROM runs r JOIN submissions s ON s.run_id = r.id LEFT JOIN queue_entries e ON e.run_id = r.id WHERE r.id = p.run_id AND s.group_name = p.group_name
		AND (` + counts + ` OR p.until IS NOT NULL AND r.ended_at IS NULL AND r.attempt > 0 AND r.state IN ('lost', 'retrying', 'canceled')))`
)

// RepairPlace gives a run the place in its group that its state asks for, or frees the one that it has without a reason.
// It returns what it did; empty for nothing.
func (s *Places) RepairPlace(ctx context.Context, run string) (done string, err error) {
	err = s.Write(ctx, db.Runs(run), func(t *db.Tx) error {
		done = ""
		if _, err := db.QueryTexts(ctx, t, `SELECT id FROM runs WHERE id = $1`+t.Dialect.Lock, run); err != nil {
			return err
		}
		for _, repair := range []struct {
			done, statement string
			args            []any
		}{
			{"the place was taken", `INSERT INTO queue_places (group_name, run_id, taken_at) SELECT group_name, run_id, $2 FROM submissions WHERE run_id = $1 AND run_id IN (` + WithoutPlace + `)
				ON CONFLICT (run_id) DO UPDATE SET group_name = excluded.group_name, until = NULL`, []any{run, db.Micros(t.Now())}},
			{"the place was freed", `DELETE FROM queue_places WHERE run_id = $1 AND run_id IN (` + WithWrongPlace + `)`, []any{run}},
		} {
			res, err := t.ExecContext(ctx, repair.statement, repair.args...)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n > 0 {
				done = repair.done
			}
		}
		t.OnCommit(t.Signals.Match.Raise)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("correct the place of run %s: %w", run, err)
	}
	return done, nil
}
