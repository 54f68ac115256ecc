package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// LockJob locks the row of a job from which runs take their numbers, so that no run of the job begins
// until the transaction ends. A job that has had no run has no row, and is not locked.
func LockJob(ctx context.Context, t *db.Tx, name string) error {
	var next int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(next_number), 0) FROM (SELECT next_number FROM jobs WHERE name = $1`+t.Dialect.Lock+`) AS one`, name).Scan(&next)
	if err != nil {
		return fmt.Errorf("lock job %s: %w", job.Quote(name), err)
	}
	return nil
}

// ActiveRun is a run that is queued or active.
type ActiveRun struct {
	ID, Job, State string
	Number         int64
	Held           string // why a person must release it; empty for nothing
}

// String says what the run does.
func (a ActiveRun) String() string {
	if a.Held != "" {
		return a.Name() + doing + "held: " + a.Held
	}
	return a.Name() + doing + a.State
}

// Name returns the run as people write it.
func (a ActiveRun) Name() string { return fmt.Sprintf("%s#%d", a.Job, a.Number) }

const doing = " is "

// ActiveRunName returns the name of the run in what String returned; empty for another text.
func ActiveRunName(text string) string {
	name, _, found := strings.Cut(text, doing)
	if !found {
		return ""
	}
	return name
}

// LockActive returns the first runs of each of some jobs that wait or go on, and keeps others from being made until the
// transaction ends.
func LockActive(ctx context.Context, t *db.Tx, names []string, most int) (map[string][]ActiveRun, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := lockJobs(ctx, t, names); err != nil {
		return nil, err
	}
	// With the sign the few runs of these states are sorted, and not all runs of the job read in their order.
	first := `(SELECT %s FROM ` + t.Dialect.RunsIndexedBy("runs_of_job_state") + ` WHERE job = c0 AND state IN ('queued', 'starting', 'installing', 'running', 'stopping', 'retrying') ORDER BY +number LIMIT $1)`
	table, args := t.Dialect.Table(2, db.Column{Texts: names})
	from := table + ` CROSS JOIN runs r ON r.id IN ` + fmt.Sprintf(first, `id`)
	if t.Dialect.Postgres {
		from = table + ` CROSS JOIN LATERAL ` + fmt.Sprintf(first, `id, job, number, state`) + ` AS r`
	}
	rows, err := t.QueryContext(ctx, `SELECT r.id, r.job, r.number, r.state, COALESCE((SELECT held FROM queue_entries WHERE run_id = r.id), '') FROM `+from+` ORDER BY r.job, r.number`,
		append([]any{most}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read the active runs of %d jobs: %w", len(names), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	active := map[string][]ActiveRun{}
	for rows.Next() {
		var one ActiveRun
		if err := rows.Scan(&one.ID, &one.Job, &one.Number, &one.State, &one.Held); err != nil {
			return nil, fmt.Errorf("read the active runs of %d jobs: %w", len(names), err)
		}
		active[one.Job] = append(active[one.Job], one)
	}
	return active, rows.Err()
}

// lockJobs locks jobs, also those that have had no run.
func lockJobs(ctx context.Context, t *db.Tx, names []string) error {
	if !t.Dialect.Postgres {
		return nil // it has one writer
	}
	// A row that is not there cannot be locked. In one order, so that servers do not wait for each other in a circle.
	table, args := t.Dialect.Table(1, db.Column{Texts: slices.Sorted(slices.Values(names))})
	what := fmt.Sprintf("lock %d jobs", len(names))
	err := t.Queue(ctx, db.Statement{What: what, Query: `INSERT INTO jobs (name, next_number) SELECT c0, 1 FROM ` + table + ` ON CONFLICT (name) DO NOTHING`, Args: args})
	if err != nil {
		return err
	}
	return t.Queue(ctx, db.Statement{What: what, Query: `SELECT 1 FROM jobs WHERE name IN (SELECT c0 FROM ` + table + `) ORDER BY name` + t.Dialect.Lock, Args: args})
}

// LastRun returns the run of a job that started last, and its attempt; "" for none.
func LastRun(ctx context.Context, t *db.Tx, name string) (run string, attempt int, err error) {
	err = t.QueryRowContext(ctx, `SELECT id, attempt FROM runs WHERE job = $1 ORDER BY start_at DESC, id DESC LIMIT 1`, name).Scan(&run, &attempt)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", 0, fmt.Errorf("find the last run of job %s: %w", job.Quote(name), err)
	}
	return run, attempt, nil
}

// DeleteUnusedJob deletes what is stored for a job, if it has neither runs nor a definition, a policy
// or an expectation.
func DeleteUnusedJob(ctx context.Context, t *db.Tx, name string) error {
	if err := LockJob(ctx, t, name); err != nil {
		return err
	}
	const unused = ` AND NOT EXISTS (SELECT 1 FROM runs WHERE job = $1) AND NOT EXISTS (SELECT 1 FROM job_policies WHERE job = $1)
		AND NOT EXISTS (SELECT 1 FROM definitions WHERE job = $1) AND NOT EXISTS (SELECT 1 FROM job_due WHERE job = $1)`
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

// MoveRun gives a run to another job, as when the column of its job is damaged. It keeps its number,
// unless another run of the job has it: then it gets the next one.
func MoveRun(ctx context.Context, t *db.Tx, r *job.Run, name string) error {
	if err := LockJob(ctx, t, name); err != nil {
		return err
	}
	var taken, last, next int64
	err := t.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN number = $2 THEN 1 END), COALESCE(MAX(number), 0),
		COALESCE((SELECT next_number FROM jobs WHERE name = $1), 1) FROM runs WHERE job = $1 AND id <> $3`, name, r.Number, r.ID).Scan(&taken, &last, &next)
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", job.Quote(name), err)
	}
	number := r.Number
	if taken > 0 || number < 1 {
		number = max(next, last+1)
	}
	if _, err := t.ExecContext(ctx, `UPDATE runs SET job = $2, number = $3 WHERE id = $1`, r.ID, name, number); err != nil {
		return fmt.Errorf("move run %s to job %s: %w", r.ID, job.Quote(name), err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET next_number = excluded.next_number`,
		name, max(next, last+1, number+1))
	if err != nil {
		return fmt.Errorf("number a run of job %s: %w", job.Quote(name), err)
	}
	r.Job, r.Number = name, number
	return nil
}
