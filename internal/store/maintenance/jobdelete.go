package maintenance

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// DeleteJob deletes the runs of a job, as EraseRun does, its definition, its policy, its expectation and its figures, because
// by asked for it. It returns the number of runs that it has deleted, also with an error. A job with active runs is not
// deleted, because their agents would begin it again.
func (s *Maintenance) DeleteJob(ctx context.Context, name, by string) (runs int64, err error) {
	sum, err := s.others.Job(ctx, name)
	var missing *query.NotFoundError
	if errors.As(err, &missing) {
		_, err = s.others.Policy(ctx, name) // it may have been set before the first run
	}
	if errors.As(err, &missing) {
		var defined int
		if err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM definition_versions WHERE job = $1`, name).Scan(&defined); err != nil {
			return 0, fmt.Errorf("look for a definition of job %s: %w", job.Quote(name), err)
		}
		if defined > 0 {
			err = nil
		}
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
		deleted, err := s.deleteRunsOf(ctx, name, by)
		runs += deleted
		if err != nil {
			return runs, err
		}
		left, active, err := s.deleteWithoutRuns(ctx, name)
		switch {
		case err != nil || left == 0:
			return runs, err
		case active > 0:
			return runs, &query.ActiveJobError{Job: name, Runs: active, Deleted: runs}
		}
	}
}

// deleteRunsOf deletes the runs of a job that have ended, and returns how many.
func (s *Maintenance) deleteRunsOf(ctx context.Context, name, by string) (runs int64, err error) {
	for {
		ids, err := s.ReadTexts(ctx, `SELECT id FROM runs WHERE job = $1 AND state IN `+endedStates+` ORDER BY start_at, id LIMIT $2`, name, maxDeletedRuns)
		if err != nil || len(ids) == 0 {
			return runs, err
		}
		for _, id := range ids {
			var active *query.ActiveRunError
			var gone *query.NotFoundError
			switch _, err := s.EraseRun(ctx, id, by); {
			case err == nil:
				runs++
			case !errors.As(err, &active) && !errors.As(err, &gone): // else another attempt began, or somebody else deleted it
				return runs, fmt.Errorf("delete run %s of job %s: %w", id, job.Quote(name), err)
			}
		}
	}
}

// deleteWithoutRuns deletes the policy, the expectation and the figures of a job, unless it has runs that began meanwhile. It
// returns the number of runs, and of active ones.
func (s *Maintenance) deleteWithoutRuns(ctx context.Context, name string) (runs, active int64, err error) {
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := tables.LockJob(ctx, t, name); err != nil {
			return err
		}
		err := t.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN state IN `+endedStates+` THEN 0 ELSE 1 END), 0) FROM runs WHERE job = $1`, name).Scan(&runs, &active)
		if err != nil {
			return fmt.Errorf("count the runs of job %s: %w", job.Quote(name), err)
		}
		if runs > 0 {
			return nil
		}
		for _, table := range []string{"job_policies", "job_due", "definitions", "definition_versions", "occurrences"} {
			if _, err := t.ExecContext(ctx, `DELETE FROM `+table+` WHERE job = $1`, name); err != nil {
				return fmt.Errorf("delete what %s has of job %s: %w", table, job.Quote(name), err)
			}
		}
		if err := tables.DeleteUnusedJob(ctx, t, name); err != nil {
			return err
		}
		return requestErase(ctx, t)
	})
	return runs, active, err
}
