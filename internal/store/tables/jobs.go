package tables

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// LockJob locks the row of a job from which runs take their numbers, so that no run of the job begins
// until the transaction ends.
func LockJob(ctx context.Context, t *db.Tx, name string) error {
	var next int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(next_number), 0) FROM (SELECT next_number FROM jobs WHERE name = $1`+t.Dialect.Lock+`) AS one`, name).Scan(&next)
	if err != nil {
		return fmt.Errorf("lock job %s: %w", job.Quote(name), err)
	}
	return nil
}

// DeleteUnusedJob deletes what is stored for a job, if it has neither runs nor a definition nor a policy.
func DeleteUnusedJob(ctx context.Context, t *db.Tx, name string) error {
	if err := LockJob(ctx, t, name); err != nil {
		return err
	}
	const unused = ` AND NOT EXISTS (SELECT 1 FROM runs WHERE job = $1) AND NOT EXISTS (SELECT 1 FROM job_policies WHERE job = $1)
		AND NOT EXISTS (SELECT 1 FROM definitions WHERE job = $1)`
	for _, query := range []string{
		`DELETE FROM job_bands WHERE job = $1` + unused, `DELETE FROM run_counts WHERE job = $1` + unused, `DELETE FROM jobs WHERE name = $1` + unused,
	} {
		if _, err := t.ExecContext(ctx, query, name); err != nil {
			return fmt.Errorf("delete job %s: %w", job.Quote(name), err)
		}
	}
	return nil
}

// JobExists reports whether a job has, or had, a run.
func JobExists(ctx context.Context, t *db.Tx, name string) (bool, error) {
	var n int64
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM jobs WHERE name = $1`, name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up job %s: %w", job.Quote(name), err)
	}
	return n > 0, nil
}

// SetNextNumber sets the number of the next run of a job: the given one, or, if another run has it,
// the one after the highest.
func SetNextNumber(ctx context.Context, t *db.Tx, name string, number int64) error {
	var taken, last int64
	err := t.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN number = $2 THEN 1 END), COALESCE(MAX(number), 0) FROM runs WHERE job = $1`, name, number).Scan(&taken, &last)
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", name, err)
	}
	if taken > 0 || number < 1 {
		number = last + 1
	}
	_, err = t.ExecContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET next_number = excluded.next_number`, name, number)
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", name, err)
	}
	return nil
}
