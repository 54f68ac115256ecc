package runs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// previousRun and nextRun select the runs of a job that started just before and just after a run.
const (
	previousRun = `SELECT id, number FROM runs WHERE job = $1 AND (start_at, id) < (CAST($2 AS BIGINT), $3)
		ORDER BY start_at DESC, id DESC LIMIT 1`
	nextRun = `SELECT id, number FROM runs WHERE job = $1 AND (start_at, id) > (CAST($2 AS BIGINT), $3)
		ORDER BY start_at, id LIMIT 1`
)

// Neighbors returns the runs of the job of a run that started just before and just after it.
func (s *Queries) Neighbors(ctx context.Context, run job.Run) (api.Neighbors, error) {
	previous, err := s.neighbor(ctx, previousRun, run)
	if err != nil {
		return api.Neighbors{}, err
	}
	next, err := s.neighbor(ctx, nextRun, run)
	return api.Neighbors{Previous: previous, Next: next}, err
}

func (s *Queries) neighbor(ctx context.Context, query string, of job.Run) (*api.Neighbor, error) {
	var n api.Neighbor
	err := s.Reader.QueryRowContext(ctx, query, of.Job, db.Micros(of.StartAt), of.ID).Scan(&n.ID, &n.Number)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the runs of job %s beside run %s: %w", of.Job, of.ID, err)
	}
	return &n, nil
}
