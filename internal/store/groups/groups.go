// Package groups keeps the limits of groups and the places of their runs, and checks the rows of the queue.
package groups

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// Places are the groups of one database.
type Places struct{ *db.DB }

// New returns the groups of a database.
func New(d *db.DB) *Places { return &Places{d} }

// lockKey is the advisory lock of transactions that take places ("StintQ").
const lockKey = 0x5374696e7451

// Lock keeps two transactions from taking places or changing limits at the same time. SQLite has one
// transaction at a time. Lock rows of runs before it, or skip those that are locked.
func Lock(ctx context.Context, t *db.Tx) error {
	if !t.Dialect.Postgres {
		return nil
	}
	if _, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey); err != nil {
		return fmt.Errorf("lock the queue: %w", err)
	}
	return nil
}

// SetGroup sets how many runs of a group may be active. A limit below what is active starts nothing
// until enough have ended.
func (s *Places) SetGroup(ctx context.Context, name string, limit int, by string) (job.Group, error) {
	if err := rules.CheckGroup(name); err != nil {
		return job.Group{}, err
	}
	if limit < 0 || limit > job.MaxGroupLimit {
		return job.Group{}, &job.InvalidError{What: "limit", Value: fmt.Sprint(limit), Why: fmt.Sprintf("must be from 0 to %d", job.MaxGroupLimit)}
	}
	var group job.Group
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := Lock(ctx, t); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `INSERT INTO queue_groups (name, run_limit, set_at, set_by) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET run_limit = excluded.run_limit, set_at = excluded.set_at, set_by = excluded.set_by`,
			name, limit, db.Micros(t.Now()), index.CleanText(by, 200))
		if err != nil {
			return fmt.Errorf("set the limit of group %s: %w", job.Quote(name), err)
		}
		t.OnCommit(t.Signals.Match.Raise)
		group, err = scanGroup(t.QueryRowContext(ctx, `SELECT `+groupColumns+` WHERE g.name = $1`, name))
		return err
	})
	return group, err
}

// groupColumns are what scanGroup reads. Of the runs in the queue those wait for a place that wait for nothing
// else.
const groupColumns = `g.name, g.run_limit, (SELECT COUNT(*) FROM queue_places p WHERE p.group_name = g.name),
	(SELECT COUNT(*) FROM queue_entries e WHERE e.group_name = g.name AND e.gate = 'group') +
	(SELECT COUNT(*) FROM queue_ready r WHERE r.group_name = g.name AND r.group_name <> '') FROM queue_groups g`

func scanGroup(row db.Scanner) (g job.Group, err error) {
	if err = row.Scan(&g.Name, &g.Limit, &g.Active, &g.Waiting); err != nil {
		err = fmt.Errorf("read a group: %w", err)
	}
	return g, err
}

// Groups returns the groups that have a limit, in the order of their names.
func (s *Places) Groups(ctx context.Context) ([]job.Group, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+groupColumns+` ORDER BY g.name`)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []job.Group{}
	for rows.Next() {
		g, err := scanGroup(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// DeleteGroup deletes the limit of a group: its runs start without one.
func (s *Places) DeleteGroup(ctx context.Context, name string) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := Lock(ctx, t); err != nil {
			return err
		}
		res, err := t.ExecContext(ctx, `DELETE FROM queue_groups WHERE name = $1`, name)
		var n int64
		if err == nil {
			n, err = res.RowsAffected()
		}
		if err != nil {
			return fmt.Errorf("delete the limit of group %s: %w", job.Quote(name), err)
		}
		if n == 0 {
			return &query.NotFoundError{What: "a limit of group " + job.Quote(name)}
		}
		t.OnCommit(t.Signals.Match.Raise)
		return nil
	})
}

// IsAlone reports whether at most one run of the group of a submitted run may be active. The limit of a
// run without a group, or of a group without a limit, is more than one.
func IsAlone(ctx context.Context, t *db.Tx, run string) (bool, error) {
	var n int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM submissions s JOIN queue_groups g ON g.name = s.group_name WHERE s.run_id = $1 AND g.run_limit <= 1`, run).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read the limit of the group of run %s: %w", run, err)
	}
	return n > 0, nil
}
