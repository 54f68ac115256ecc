package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// CopiedAt returns when this database was copied, or was found to be a copy; zero if it is an
// original or a copy that was activated.
func (s *DB) CopiedAt() time.Time { return s.copiedAt }

// Activate turns a copy into an original.
func (s *DB) Activate(ctx context.Context) error {
	if _, err := s.Writer.ExecContext(ctx, `UPDATE installation SET copied_at = NULL`); err != nil {
		return fmt.Errorf("activate the copy: %w", err)
	}
	s.copiedAt = time.Time{}
	return nil
}

// readCopied reads whether the database is a copy.
func (s *DB) readCopied(ctx context.Context, now time.Time) error {
	if s.Dialect.Postgres {
		if err := s.comparePlace(ctx, now); err != nil {
			return fmt.Errorf("find out whether the database is a copy: %w", err)
		}
	}
	at, err := copiedAt(ctx, s.Writer)
	if err != nil {
		return fmt.Errorf("find out whether the database is a copy: %w", err)
	}
	s.copiedAt = at
	return nil
}

func copiedAt(ctx context.Context, db *sql.DB) (time.Time, error) {
	var at sql.NullInt64
	if err := db.QueryRowContext(ctx, `SELECT copied_at FROM installation`).Scan(&at); err != nil || !at.Valid {
		return time.Time{}, err
	}
	return FromMicros(at.Int64), nil
}

// MarkCopied marks the database in a file as a copy. No other process may have it open.
func MarkCopied(ctx context.Context, file string, at time.Time) (err error) {
	settings := writerSettings(false)
	settings["_pragma"] = []string{"synchronous(FULL)"}
	db, err := sql.Open("sqlite", sqliteName(file, settings))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `UPDATE installation SET copied_at = $1`, Micros(at)); err != nil {
		return fmt.Errorf("mark %s as a copy: %w", file, err)
	}
	return nil
}

// insufficientPrivilege is the error code of PostgreSQL for a missing privilege.
const insufficientPrivilege = "42501"

// comparePlace marks a PostgreSQL database as a copy if its object id or its cluster differs from the
// stored ones. Tools such as pg_dump copy every row and set no mark, but a restored database has
// another object id or is in another cluster.
func (s *DB) comparePlace(ctx context.Context, now time.Time) error {
	var number, cluster string
	if err := s.Writer.QueryRowContext(ctx, `SELECT oid::text FROM pg_database WHERE datname = current_database()`).Scan(&number); err != nil {
		return err
	}
	err := s.Writer.QueryRowContext(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&cluster)
	var refused *pgconn.PgError
	if err != nil && (!errors.As(err, &refused) || refused.Code != insufficientPrivilege) {
		return err
	}
	place := cluster + "/" + number
	// One statement: of several servers that start together, only one finds the old place.
	_, err = s.Writer.ExecContext(ctx, `UPDATE installation SET place = $1,
		copied_at = CASE WHEN place IS NULL THEN copied_at ELSE $2 END WHERE place IS DISTINCT FROM $1`, place, Micros(now))
	return err
}
