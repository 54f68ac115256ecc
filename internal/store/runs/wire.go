package runs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// WireRun returns the last run of a job on a wire; one without id if there is none.
func (s *Queries) WireRun(ctx context.Context, name string, w index.Wire) (job.Run, error) {
	var id string
	err := s.Reader.QueryRowContext(ctx, `SELECT run_id FROM wire_runs WHERE job = $1 AND wire = $2 AND rid = $3`, name, w.Name, w.RID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return job.Run{}, nil
	}
	if err != nil {
		return job.Run{}, fmt.Errorf("find the last run of job %s on the wire %s: %w", job.Quote(name), w.Name, err)
	}
	run, err := s.Run(ctx, id)
	var gone *query.NotFoundError
	if errors.As(err, &gone) { // deleted in between
		return job.Run{}, nil
	}
	return run, err
}
