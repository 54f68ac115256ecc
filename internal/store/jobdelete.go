package store

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// DeleteJob deletes the runs of a job and all that is kept for it: its policy, and what is usual
// for it. It returns how many runs it has deleted, also when it could not finish. A job with
// active runs is left as it is: their agents would begin it anew.
func (s *Store) DeleteJob(ctx context.Context, name string) (runs int64, err error) {
	sum, err := s.Job(ctx, name)
	if err != nil {
		return 0, err
	}
	if sum.Active > 0 {
		return 0, &index.ActiveJobError{Job: name, Runs: sum.Active}
	}
	for {
		ids, err := s.texts(ctx, `SELECT id FROM runs WHERE job = $1 AND state IN `+over+` ORDER BY created_at, id LIMIT $2`, name, deleteRunsMost)
		if err != nil {
			return runs, fmt.Errorf("list runs of job %s: %w", job.Quote(name), err)
		}
		for _, id := range ids {
			if err := s.deleteRun(ctx, id); err != nil {
				return runs, fmt.Errorf("delete run %s of job %s: %w", id, job.Quote(name), err)
			}
			runs++
		}
		if len(ids) == 0 {
			break
		}
	}
	return runs, s.write(ctx, func(t *tx) error {
		if _, err := t.ExecContext(ctx, `DELETE FROM job_policies WHERE job = $1`, name); err != nil {
			return fmt.Errorf("delete the policy of job %s: %w", job.Quote(name), err)
		}
		return t.forgetJob(ctx, name)
	})
}

// forgetJob deletes what is kept for a job that has no runs any more, unless somebody has set a
// policy for it.
func (t *tx) forgetJob(ctx context.Context, name string) error {
	var next int64
	// Locked first: a run that begins meanwhile takes its number from the same row.
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(next_number), 0) FROM (SELECT next_number FROM jobs WHERE name = $1`+t.dialect.lock+`) AS one`, name).Scan(&next)
	if err != nil {
		return fmt.Errorf("lock job %s: %w", job.Quote(name), err)
	}
	const unused = ` AND NOT EXISTS (SELECT 1 FROM runs WHERE job = $1) AND NOT EXISTS (SELECT 1 FROM job_policies WHERE job = $1)`
	for _, query := range []string{
		`DELETE FROM job_bands WHERE job = $1` + unused, `DELETE FROM run_counts WHERE job = $1` + unused, `DELETE FROM jobs WHERE name = $1` + unused,
	} {
		if _, err := t.ExecContext(ctx, query, name); err != nil {
			return fmt.Errorf("forget job %s: %w", job.Quote(name), err)
		}
	}
	return nil
}

// knowsJob reports whether a job has had a run.
func (t *tx) knowsJob(ctx context.Context, name string) (bool, error) {
	var n int64
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE name = $1`, name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up job %s: %w", job.Quote(name), err)
	}
	return n > 0, nil
}
