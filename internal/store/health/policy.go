package health

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// SetPolicy stores the policy of a job. actions are its actions as JSON, by rule or end.
func (s *Health) SetPolicy(ctx context.Context, p policy.Stored, actions []byte) error {
	var ends outbox.EndActions
	if err := json.Unmarshal(actions, &ends); err != nil {
		return fmt.Errorf("actions of the policy of job %s: %w", p.Job, err)
	}
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := refuseRetries(ctx, t, p.Job, ends); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `INSERT INTO job_policies (job, yaml, actions, set_at, set_by) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (job) DO UPDATE SET yaml = $2, actions = $3, set_at = $4, set_by = $5`,
			p.Job, p.YAML, string(actions), db.Micros(p.SetAt), index.CleanText(p.SetBy, 200))
		if err != nil {
			return fmt.Errorf("store the policy of job %s: %w", p.Job, err)
		}
		return nil
	})
}

// refuseRetries refuses a policy with retry for a job that has a definition: its queue decides what
// follows an attempt.
func refuseRetries(ctx context.Context, t *db.Tx, name string, ends outbox.EndActions) error {
	if !ends.Retry() {
		return nil
	}
	var defined int
	if err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM definitions WHERE job = $1`, name).Scan(&defined); err != nil {
		return fmt.Errorf("look for a definition of job %s: %w", job.Quote(name), err)
	}
	if defined > 0 {
		return &job.InvalidError{What: "policy of job", Value: name, Why: "has retry, and a job with a definition is tried again by retries in that: leave retry out"}
	}
	return nil
}

// DeletePolicy deletes the policy of a job, and the job if it has no runs.
func (s *Health) DeletePolicy(ctx context.Context, name string) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, `DELETE FROM job_policies WHERE job = $1`, name)
		if err != nil {
			return fmt.Errorf("remove the policy of job %s: %w", name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, &query.NotFoundError{What: "a policy of job " + job.Quote(name)})
		}
		return tables.DeleteUnusedJob(ctx, t, name)
	})
}

// Policy returns the policy that was set for a job, or *query.NotFoundError.
func (s *Health) Policy(ctx context.Context, name string) (policy.Stored, error) {
	p := policy.Stored{Job: name}
	if job.CheckName(name) != nil {
		return p, &query.NotFoundError{What: "a policy of job " + job.Quote(name)}
	}
	var at int64
	err := s.Reader.QueryRowContext(ctx, `SELECT yaml, set_at, set_by FROM job_policies WHERE job = $1`, name).Scan(&p.YAML, &at, &p.SetBy)
	if errors.Is(err, sql.ErrNoRows) {
		return p, &query.NotFoundError{What: "a policy of job " + job.Quote(name)}
	}
	if err != nil {
		return p, fmt.Errorf("read the policy of job %s: %w", name, err)
	}
	p.SetAt = db.FromMicros(at)
	return p, nil
}

// Policies returns all policies and their common version. If that is the version seen, it returns no
// policies. A policy whose actions cannot be read has the error in Unreadable.
func (s *Health) Policies(ctx context.Context, seen string) ([]policy.Stored, string, error) {
	var count, last, sum int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(set_at), 0), CAST(COALESCE(SUM(set_at % 1000003), 0) AS BIGINT) FROM job_policies`).Scan(&count, &last, &sum)
	if err != nil {
		return nil, seen, fmt.Errorf("read policies: %w", err)
	}
	version := fmt.Sprintf("%d.%d.%d", count, last, sum)
	if version == seen {
		return nil, seen, nil
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT job, yaml, actions, set_at, set_by FROM job_policies ORDER BY job`)
	if err != nil {
		return nil, seen, fmt.Errorf("read policies: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []policy.Stored{}
	for rows.Next() {
		var p policy.Stored
		var actions []byte
		var at int64
		if err := rows.Scan(&p.Job, &p.YAML, &actions, &at, &p.SetBy); err != nil {
			return nil, seen, fmt.Errorf("read policies: %w", err)
		}
		if err := json.Unmarshal(actions, &outbox.EndActions{}); err != nil {
			p.Unreadable = fmt.Errorf("its stored actions cannot be read: %w", err)
		}
		p.SetAt = db.FromMicros(at)
		all = append(all, p)
	}
	return all, version, rows.Err()
}

// PolicyFailed records that the stored policy of a job cannot be read, so that the default applies.
func (s *Health) PolicyFailed(ctx context.Context, name string, cause error) {
	s.RecordFailure(ctx, troubled.Policy, name, cause)
}

// PolicyRead removes the record that the policy of a job could not be read.
func (s *Health) PolicyRead(ctx context.Context, name string) {
	s.ClearFailure(ctx, troubled.Policy, name)
}
