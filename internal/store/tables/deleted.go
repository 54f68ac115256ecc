package tables

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
)

// DeletedRuns returns those of some runs that somebody has deleted, by their ids.
func DeletedRuns(ctx context.Context, from db.Querier, d db.Dialect, ids []string) (map[string]*query.DeletedRunError, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	table, args := d.Table(1, db.Column{Texts: ids})
	rows, err := from.QueryContext(ctx, `SELECT run_id, deleted_at, deleted_by FROM deleted_runs WHERE run_id IN (SELECT c0 FROM `+table+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("look for deleted runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	deleted := map[string]*query.DeletedRunError{}
	for rows.Next() {
		var one query.DeletedRunError
		var at int64
		if err := rows.Scan(&one.Run, &at, &one.By); err != nil {
			return nil, fmt.Errorf("look for deleted runs: %w", err)
		}
		one.At = db.FromMicros(at)
		deleted[one.Run] = &one
	}
	return deleted, rows.Err()
}

// MissingRun returns the error of a run that is not stored: *query.DeletedRunError if somebody has deleted it, else
// *query.NotFoundError.
func MissingRun(ctx context.Context, from db.Querier, d db.Dialect, id string) error {
	deleted, err := DeletedRuns(ctx, from, d, []string{id})
	switch {
	case err != nil:
		return err
	case deleted[id] != nil:
		return deleted[id]
	}
	return &query.NotFoundError{What: "run " + id}
}
