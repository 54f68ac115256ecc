package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/google/uuid"
)

// readInstallation reads the id of a database, which a migration created.
func readInstallation(ctx context.Context, db *sql.DB) (string, error) {
	var id string
	if err := db.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the installation's id: %w", err)
	}
	if _, err := uuid.Parse(id); err != nil {
		return "", fmt.Errorf("the installation's id %q is not a UUID: %w", id, err)
	}
	return id, nil
}

// Installation returns the id of the database. All servers on the database share it, and it does not
// change when they are restarted, moved or restored from a backup.
func (s *DB) Installation() string { return s.installation }

// Identify reads the id of the database, and whether it is a copy.
func (s *DB) Identify(ctx context.Context, now time.Time) (err error) {
	if s.installation, err = readInstallation(ctx, s.Writer); err != nil {
		return err
	}
	return s.readCopied(ctx, now)
}

// KeepInstallation copies the id of a replaced database, its mark if it is a copy, and the key of its tokens of
// attempts, to the database that is rebuilt. If the replaced file is missing or its id cannot be read, the new id stays.
func (s *DB) KeepInstallation(ctx context.Context, replaced string) (err error) {
	if _, err := os.Stat(replaced); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := OpenReadOnly(replaced)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	id, err := readInstallation(ctx, old)
	if err != nil {
		return ctx.Err() // it is damaged: that is why it is replaced
	}
	var mark sql.NullInt64
	if at, err := copiedAt(ctx, old); err == nil && !at.IsZero() { // an old schema has no such column
		mark, s.copiedAt = sql.NullInt64{Int64: Micros(at), Valid: true}, at
	}
	var key []byte // of the tokens of attempts that go on; an old schema has no such column
	if err := old.QueryRowContext(ctx, `SELECT token_key FROM installation`).Scan(&key); err != nil {
		key = nil
	}
	if _, err := s.Writer.ExecContext(ctx, `UPDATE installation SET id = $1, copied_at = $2, token_key = COALESCE($3, token_key)`, id, mark, key); err != nil {
		return fmt.Errorf("keep the installation's id: %w", err)
	}
	s.installation = id
	return nil
}

// KeepDeletedRuns copies from a database that is replaced which runs somebody has deleted, as far as it can be read, so that
// they do not come back.
func (s *DB) KeepDeletedRuns(ctx context.Context, replaced string) (err error) {
	if _, err := os.Stat(replaced); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old, err := OpenReadOnly(replaced)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	rows, err := old.QueryContext(ctx, `SELECT run_id, deleted_at, deleted_by FROM deleted_runs`)
	if err != nil {
		return ctx.Err() // damaged, or of an older schema
	}
	defer rows.Close() //nolint:errcheck // the rest of a damaged table cannot be read
	for rows.Next() {
		var run, by string
		var at int64
		if rows.Scan(&run, &at, &by) != nil {
			break
		}
		// Of pending rows, so that what segments still have is erased.
		if _, err := s.Writer.ExecContext(ctx, `INSERT INTO deleted_runs (run_id, deleted_at, deleted_by, pending) VALUES ($1, $2, $3, 1)`, run, at, by); err != nil {
			return fmt.Errorf("keep that run %s was deleted: %w", run, err)
		}
	}
	return ctx.Err()
}
