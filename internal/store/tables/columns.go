package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// MatchesColumns reports whether the columns of a run that repeat its document have the values that
// UpdateRun stores, and the labels by which runs are found are its own.
func MatchesColumns(ctx context.Context, from Reader, r *job.Run) (bool, error) {
	cancel, err := JSONOrNull(r.Cancel)
	if err != nil {
		return false, fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	var n int
	err = from.QueryRowContext(ctx, `SELECT 1 FROM runs WHERE id = $1 AND state = $2 AND health = $3 AND leased = $4
		AND started_at IS NOT DISTINCT FROM CAST($5 AS BIGINT) AND ended_at IS NOT DISTINCT FROM CAST($6 AS BIGINT)
		AND peak_memory = $7 AND cancel IS NOT DISTINCT FROM CAST($8 AS TEXT) AND suspended = $9 AND acknowledged = $10
		AND status = $11 AND host = $12 AND (end_known_at IS NOT NULL) = (CAST($13 AS INTEGER) = 1)`,
		r.ID, string(r.State), string(r.Health), leased(r.State), db.NullableMicros(r.StartedAt), db.NullableMicros(r.EndedAt),
		r.Usage.PeakMemoryBytes, cancel, db.BoolToInt(r.SuspendedAt != nil), db.BoolToInt(r.Acknowledged != nil),
		r.Status, r.Host, db.BoolToInt(r.State.Terminal())).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the columns of run %s: %w", r.ID, err)
	}
	labels, err := readLabels(ctx, from, r.ID)
	return err == nil && maps.Equal(labels, r.Labels), err
}

// Reader reads rows: a database, or a transaction.
type Reader interface {
	db.Querier
	db.RowQuerier
}

func readLabels(ctx context.Context, from db.Querier, run string) (map[string]string, error) {
	rows, err := from.QueryContext(ctx, `SELECT key, value FROM run_labels WHERE run_id = $1`, run)
	if err != nil {
		return nil, fmt.Errorf("read the labels of run %s: %w", run, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	labels := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return nil, fmt.Errorf("read the labels of run %s: %w", run, err)
		}
		labels[key] = value
	}
	return labels, rows.Err()
}
