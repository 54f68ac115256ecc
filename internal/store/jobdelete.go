package store

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// DeleteJob deletes the runs of a job and all that is kept for it: its policy, and what is usual
// for it. It returns how many runs it has deleted, also when it could not finish. A job with
// active runs keeps its policy and them: their agents would begin it anew.
func (s *Maintenance) DeleteJob(ctx context.Context, name string) (runs int64, err error) {
	sum, err := s.others.Job(ctx, name)
	var missing *query.NotFoundError
	if errors.As(err, &missing) {
		_, err = s.others.Policy(ctx, name) // it may have been set before the first run
	}
	switch {
	case errors.As(err, &missing):
		return 0, &query.NotFoundError{What: "job " + job.Quote(name)}
	case err != nil:
		return 0, err
	}
	if sum.Active > 0 {
		return 0, &query.ActiveJobError{Job: name, Runs: sum.Active}
	}
	for {
		deleted, err := s.deleteRunsOf(ctx, name)
		runs += deleted
		if err != nil {
			return runs, err
		}
		left, active, err := s.deleteWithoutRuns(ctx, name)
		switch {
		case err != nil || left == 0:
			return runs, err
		case active > 0:
			return runs, &query.ActiveJobError{Job: name, Runs: active}
		}
	}
}

// deleteRunsOf deletes the runs of a job that have ended, and returns how many.
func (s *Maintenance) deleteRunsOf(ctx context.Context, name string) (runs int64, err error) {
	for {
		ids, err := s.Texts(ctx, `SELECT id FROM runs WHERE job = $1 AND state IN `+over+` ORDER BY start_at, id LIMIT $2`, name, deleteRunsMost)
		if err != nil || len(ids) == 0 {
			return runs, err
		}
		for _, id := range ids {
			deleted, err := s.deleteRun(ctx, id)
			if err != nil {
				return runs, fmt.Errorf("delete run %s of job %s: %w", id, job.Quote(name), err)
			}
			if deleted {
				runs++
			}
		}
	}
}

// deleteWithoutRuns deletes the policy of a job and all else that is kept for it, unless a run
// of it has begun, or begun again, meanwhile. It returns how many runs there are, and how many
// of them are active.
func (s *Maintenance) deleteWithoutRuns(ctx context.Context, name string) (runs, active int64, err error) {
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := lockJob(ctx, t, name); err != nil {
			return err
		}
		err := t.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN state IN `+over+` THEN 0 ELSE 1 END), 0) FROM runs WHERE job = $1`, name).Scan(&runs, &active)
		if err != nil {
			return fmt.Errorf("count the runs of job %s: %w", job.Quote(name), err)
		}
		if runs > 0 {
			return nil
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM job_policies WHERE job = $1`, name); err != nil {
			return fmt.Errorf("delete the policy of job %s: %w", job.Quote(name), err)
		}
		return forgetJob(ctx, t, name)
	})
	return runs, active, err
}

// lockJob keeps runs of a job from beginning until the transaction ends: each takes its number
// from the row that is locked.
func lockJob(ctx context.Context, t *db.Tx, name string) error {
	var next int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(next_number), 0) FROM (SELECT next_number FROM jobs WHERE name = $1`+t.Dialect.Lock+`) AS one`, name).Scan(&next)
	if err != nil {
		return fmt.Errorf("lock job %s: %w", job.Quote(name), err)
	}
	return nil
}

// forgetJob deletes what is kept for a job that has no runs any more, unless somebody has set a
// policy for it.
func forgetJob(ctx context.Context, t *db.Tx, name string) error {
	if err := lockJob(ctx, t, name); err != nil {
		return err
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
func knowsJob(ctx context.Context, t *db.Tx, name string) (bool, error) {
	var n int64
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE name = $1`, name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up job %s: %w", job.Quote(name), err)
	}
	return n > 0, nil
}
