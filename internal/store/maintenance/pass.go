package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stint.dev/stint/internal/keep"
)

// counter counts a deleted run of a job, whose journals took bytes.
type counter func(job string, bytes int64)

// counterOf returns the counter of what a setting deletes.
func counterOf(deleted *keep.Deleted, by keep.Setting) counter {
	return func(job string, bytes int64) { deleted.Add(by, job, bytes) }
}

// storedOf returns the job of a run, and the bytes that its journals take; nothing if the run is gone.
func (s *Maintenance) storedOf(ctx context.Context, id string) (job string, bytes int64, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT job, (SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE run_id = $1 AND codec <> 2)
		FROM runs WHERE id = $1`, id).Scan(&job, &bytes)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", 0, fmt.Errorf("read what run %s takes: %w", id, err)
	}
	return job, bytes, nil
}
