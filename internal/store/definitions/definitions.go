// Package definitions keeps the definitions of jobs, with every content that they have had.
package definitions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/schedules"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Definitions are those of one database.
type Definitions struct{ *db.DB }

// New makes the definitions of a database.
func New(d *db.DB) *Definitions { return &Definitions{d} }

const columns = `d.job, d.version, d.source, d.yaml, v.canonical, d.applied_at, d.applied_by, d.edited_at, d.edited_by, d.paused_at, d.paused_by, d.paused_why
	FROM definitions d JOIN definition_versions v ON v.job = d.job AND v.hash = d.version`

func scan(row db.Scanner) (definition.Applied, error) {
	var a definition.Applied
	var pause api.Pause
	var applied int64
	var edited, paused sql.NullInt64
	err := row.Scan(&a.Job, &a.Version, &a.Source, &a.YAML, &a.Canonical, &applied, &a.AppliedBy, &edited, &a.EditedBy, &paused, &pause.By, &pause.Why)
	a.AppliedAt, a.EditedAt = db.FromMicros(applied), db.FromNullableMicros(edited)
	if paused.Valid {
		pause.At = db.FromMicros(paused.Int64)
		a.Paused = &pause
	}
	return a, err
}

func missing(name string) error {
	return &query.NotFoundError{What: "a definition of job " + job.Quote(name)}
}

// Definition returns the definition of a job, or *query.NotFoundError.
func (s *Definitions) Definition(ctx context.Context, name string) (definition.Applied, error) {
	return find(ctx, s.Reader, name, "")
}

func find(ctx context.Context, q db.RowQuerier, name, lock string) (definition.Applied, error) {
	if job.CheckName(name) != nil {
		return definition.Applied{}, missing(name)
	}
	a, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` WHERE d.job = $1`+lock, name))
	if errors.Is(err, sql.ErrNoRows) {
		return a, missing(name)
	}
	if err != nil {
		return a, fmt.Errorf("read the definition of job %s: %w", job.Quote(name), err)
	}
	return a, nil
}

// ListDefinitions returns a page of definitions in the order of jobs, those after a job; of one source
// unless that is empty.
func (s *Definitions) ListDefinitions(ctx context.Context, source, after string, limit int) ([]definition.Applied, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+columns+` WHERE d.job > $1 AND ($2 = '' OR d.source = $2) ORDER BY d.job LIMIT $3`, after, source, limit)
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []definition.Applied{}
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list definitions: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

const versionColumns = `hash, yaml, canonical, source, first_at, applied_at, applied_by FROM definition_versions`

func scanVersion(row db.Scanner) (definition.Version, error) {
	var v definition.Version
	var first, applied int64
	err := row.Scan(&v.Hash, &v.YAML, &v.Canonical, &v.Source, &first, &applied, &v.AppliedBy)
	v.FirstAt, v.AppliedAt = db.FromMicros(first), db.FromMicros(applied)
	return v, err
}

// DefinitionVersions returns the last contents that the definition of a job has had, the one first that became
// it last.
func (s *Definitions) DefinitionVersions(ctx context.Context, name string, limit int) ([]definition.Version, error) {
	if job.CheckName(name) != nil {
		return nil, missing(name)
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+versionColumns+` WHERE job = $1 ORDER BY applied_at DESC, hash LIMIT $2`, name, limit)
	if err != nil {
		return nil, fmt.Errorf("list versions of job %s: %w", job.Quote(name), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []definition.Version{}
	for rows.Next() {
		v, err := scanVersion(rows)
		if err != nil {
			return nil, fmt.Errorf("list versions of job %s: %w", job.Quote(name), err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil || len(all) > 0 {
		return all, err
	}
	return nil, missing(name)
}

// DefinitionVersion returns the version of a job whose hash begins with some digits. The error is
// *query.NotFoundError, or *job.InvalidError for the beginning of several.
func (s *Definitions) DefinitionVersion(ctx context.Context, name, digits string) (definition.Version, error) {
	what := fmt.Sprintf("version %s of job %s", job.Quote(digits), job.Quote(name))
	if job.CheckName(name) != nil || !definition.IsHash(digits) {
		return definition.Version{}, &query.NotFoundError{What: what}
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+versionColumns+` WHERE job = $1 AND hash >= $2 AND hash < $3 ORDER BY hash LIMIT 2`, name, digits, digits+"g")
	if err != nil {
		return definition.Version{}, fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var found []definition.Version
	for rows.Next() {
		v, err := scanVersion(rows)
		if err != nil {
			return v, fmt.Errorf("read %s: %w", what, err)
		}
		found = append(found, v)
	}
	switch {
	case rows.Err() != nil:
		return definition.Version{}, rows.Err()
	case len(found) == 0:
		return definition.Version{}, &query.NotFoundError{What: what}
	case len(found) > 1:
		return definition.Version{}, &job.InvalidError{What: "version", Value: digits, Why: "is the beginning of several: give more digits"}
	}
	return found[0], nil
}

// PauseJob keeps a job from being started, or no longer with nil. It returns the definition.
func (s *Definitions) PauseJob(ctx context.Context, name string, pause *api.Pause) (a definition.Applied, err error) {
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		if a, err = find(ctx, t, name, t.Dialect.Lock); err != nil {
			return err
		}
		if pause != nil && a.Paused != nil {
			return nil // it is known since when
		}
		var at sql.NullInt64
		stored := api.Pause{}
		if pause != nil {
			stored = api.Pause{At: pause.At, By: index.CleanText(pause.By, 200), Why: index.CleanText(pause.Why, 1000)}
			at = db.NotNull(db.Micros(pause.At))
		}
		if pause == nil && a.Paused != nil {
			if err := schedules.Resume(ctx, t, name); err != nil {
				return err
			}
		}
		_, err = t.ExecContext(ctx, `UPDATE definitions SET paused_at = $2, paused_by = $3, paused_why = $4 WHERE job = $1`, name, at, stored.By, stored.Why)
		if err != nil {
			return fmt.Errorf("pause job %s: %w", job.Quote(name), err)
		}
		if pause == nil {
			t.OnCommit(t.Signals.Match.Raise)
		} else if err := queue.WithdrawPaused(ctx, t, name); err != nil {
			return err
		}
		a.Paused = nil
		if pause != nil {
			a.Paused = &stored
		}
		return nil
	})
	return a, err
}

// DeleteDefinition deletes the definition of a job. Its runs stay, also those that wait, and its versions as
// long as maintenance keeps them.
func (s *Definitions) DeleteDefinition(ctx context.Context, name string) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		a, err := find(ctx, t, name, t.Dialect.Lock)
		if err != nil {
			return err
		}
		return deleteOne(ctx, t, a)
	})
}

// deleteOne deletes a definition, with the policy that it brought.
func deleteOne(ctx context.Context, t *db.Tx, a definition.Applied) error {
	if err := schedules.Delete(ctx, t, a.Job); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM definitions WHERE job = $1`, a.Job); err != nil {
		return fmt.Errorf("delete the definition of job %s: %w", job.Quote(a.Job), err)
	}
	if err := deletePolicy(ctx, t, a); err != nil {
		return err
	}
	return tables.DeleteUnusedJob(ctx, t, a.Job)
}
