package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// ActionColumns are the columns of the outbox that ScanActions reads.
const ActionColumns = `id, kind, run_id, attempt, what, severity, route, status, tries, next_at,
	created_at, done_at, cause, repeats, batch, last_error, message, by_whom, ends, late, job`

// ScanActions reads rows of the outbox and closes the query.
func ScanActions(rows *sql.Rows) ([]api.Action, error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	actions := []api.Action{}
	for rows.Next() {
		a, err := scanAction(rows)
		if err != nil {
			return nil, err
		}
		actions = append(actions, a)
	}
	return actions, rows.Err()
}

func scanAction(from db.Scanner) (api.Action, error) {
	var a api.Action
	var run sql.NullString
	var severity string
	var next, created int64
	var done sql.NullInt64
	var late []byte
	err := from.Scan(&a.ID, &a.Kind, &run, &a.Attempt, &a.What, &severity, &a.Route, &a.Status, &a.Tries, &next,
		&created, &done, &a.Cause, &a.Repeat, &a.Batch, &a.LastError, &a.Message, &a.By, &a.Ends, &late, &a.Job)
	if err == nil && late != nil {
		err = json.Unmarshal(late, &a.Late)
	}
	a.Run, a.Severity = run.String, job.Health(severity)
	a.CreatedAt, a.DoneAt = db.FromMicros(created), db.FromNullableMicros(done)
	if a.Cause == 0 {
		a.Cause = a.ID
	}
	if at := db.FromMicros(next); a.Status == "pending" {
		a.NextAt = &at
	}
	return a, err
}

// NameRuns adds to actions the names of their runs.
func NameRuns(ctx context.Context, from db.Querier, d db.Dialect, actions []api.Action) error {
	if len(actions) == 0 {
		return nil
	}
	var ids []string
	for _, a := range actions {
		ids = append(ids, a.Run)
	}
	table, args := d.Table(1, db.Column{Texts: ids})
	rows, err := from.QueryContext(ctx, `SELECT id, job, number FROM runs WHERE id IN (SELECT c0 FROM `+table+`)`, args...)
	if err != nil {
		return fmt.Errorf("read the names of runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	names := map[string]string{}
	for rows.Next() {
		var id, name string
		var number int64
		if err := rows.Scan(&id, &name, &number); err != nil {
			return fmt.Errorf("read the names of runs: %w", err)
		}
		names[id] = fmt.Sprintf("%s#%d", name, number)
	}
	for i, a := range actions {
		actions[i].RunName = names[a.Run]
	}
	return rows.Err()
}

// NextStarts returns when schedules start the jobs of a range of names next; nil for a job of which no schedule
// does, because they or the job are paused, or no time follows.
func NextStarts(ctx context.Context, from db.Querier, first, last string) (map[string]*time.Time, error) {
	rows, err := from.QueryContext(ctx, `SELECT s.job, MIN(CASE WHEN s.paused_at IS NULL AND d.paused_at IS NULL THEN s.due_at END)
		FROM schedules s JOIN definitions d ON d.job = s.job WHERE s.job >= $1 AND s.job <= $2 GROUP BY s.job`, first, last)
	if err != nil {
		return nil, fmt.Errorf("read when schedules start jobs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	next := map[string]*time.Time{}
	for rows.Next() {
		var name string
		var at sql.NullInt64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, fmt.Errorf("read when schedules start jobs: %w", err)
		}
		next[name] = db.FromNullableMicros(at)
	}
	return next, rows.Err()
}
