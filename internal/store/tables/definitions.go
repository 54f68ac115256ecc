package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// ReadDefinition reads a version of the definition of a job; the current one for "".
func ReadDefinition(ctx context.Context, t *db.Tx, name, version string) (d definition.Definition, hash string, err error) {
	what := "a definition of job " + job.Quote(name)
	statement, args := `SELECT v.hash, v.canonical, 1 FROM definitions d JOIN definition_versions v ON v.job = d.job AND v.hash = d.version WHERE d.job = $1`, []any{name}
	if version != "" {
		what = fmt.Sprintf("version %s of job %s", job.Quote(version), job.Quote(name))
		if !definition.IsHash(version) {
			return d, "", &query.NotFoundError{What: what}
		}
		statement = `SELECT v.hash, v.canonical, (SELECT COUNT(*) FROM definition_versions o WHERE o.job = $1 AND o.hash >= $2 AND o.hash < $3)
			FROM definition_versions v WHERE v.job = $1 AND v.hash >= $2 AND v.hash < $3 ORDER BY v.hash LIMIT 1`
		args = []any{name, version, version + "g"}
	}
	if t.Dialect.Postgres {
		statement += ` FOR KEY SHARE OF v` // the version is not deleted while a run is submitted with it
	}
	var canonical []byte
	var matches int
	err = t.QueryRowContext(ctx, statement, args...).Scan(&hash, &canonical, &matches)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return d, "", &query.NotFoundError{What: what}
	case err != nil:
		return d, "", fmt.Errorf("read %s: %w", what, err)
	case matches > 1:
		return d, "", &job.InvalidError{What: "version", Value: version, Why: "is the beginning of several: give more digits"}
	}
	d, err = definition.FromCanonical(canonical)
	return d, hash, err
}

// StoredDefinition is a version of a definition.
type StoredDefinition struct {
	definition.Definition
	Hash string
}

// ReadDefinitions reads the current definitions of jobs, by job. Those that have none are left out.
func ReadDefinitions(ctx context.Context, t *db.Tx, names []string) (map[string]StoredDefinition, error) {
	table, args := t.Dialect.Table(1, db.Column{Texts: names})
	statement := `SELECT d.job, v.hash, v.canonical FROM definitions d JOIN definition_versions v ON v.job = d.job AND v.hash = d.version
		WHERE d.job IN (SELECT c0 FROM ` + table + `) ORDER BY d.job`
	if t.Dialect.Postgres {
		statement += ` FOR KEY SHARE OF v` // as ReadDefinition
	}
	rows, err := t.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the definitions of %d jobs: %w", len(names), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := map[string]StoredDefinition{}
	for rows.Next() {
		var name, hash string
		var canonical []byte
		if err := rows.Scan(&name, &hash, &canonical); err != nil {
			return nil, fmt.Errorf("read the definitions of %d jobs: %w", len(names), err)
		}
		d, err := definition.FromCanonical(canonical)
		if err != nil {
			return nil, fmt.Errorf("read the definition of job %s: %w", job.Quote(name), err)
		}
		all[name] = StoredDefinition{d, hash}
	}
	return all, rows.Err()
}
