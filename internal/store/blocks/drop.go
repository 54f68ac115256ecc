package blocks

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
)

// DeleteBlocks deletes the blocks that match a condition, releases objects that no other block refers to,
// and subtracts the freed bytes.
func (s *Journals) DeleteBlocks(ctx context.Context, t *db.Tx, which string, args ...any) error {
	var freed int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE codec <> 2 AND `+which, args...).Scan(&freed)
	if err != nil {
		return fmt.Errorf("count the bytes of blocks: %w", err)
	}
	objects, err := db.QueryNumbers(ctx, t, `SELECT DISTINCT object FROM blocks WHERE object IS NOT NULL AND `+which, args...)
	if err != nil {
		return fmt.Errorf("select objects: %w", err)
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM blocks WHERE `+which, args...); err != nil {
		return fmt.Errorf("delete blocks: %w", err)
	}
	if err := releaseObjects(ctx, t, objects); err != nil {
		return err
	}
	return s.CountBytes(ctx, t, -freed)
}

// releaseObjects marks those of the objects that no block refers to any more. They are deleted from the
// archive later.
func releaseObjects(ctx context.Context, t *db.Tx, objects []int64) error {
	for _, id := range objects {
		_, err := t.ExecContext(ctx, `UPDATE objects SET state = 'dead' WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM blocks WHERE object = $1)`, id)
		if err != nil {
			return fmt.Errorf("release object %d: %w", id, err)
		}
	}
	return nil
}

// CountBytes adds to the count of stored bytes. Each server has a row of its own, so that servers do not
// wait for each other.
func (s *Journals) CountBytes(ctx context.Context, t *db.Tx, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	return t.Queue(ctx, db.Statement{
		Query: `INSERT INTO stored_bytes (server, bytes) VALUES ($1, $2)
			ON CONFLICT (server) DO UPDATE SET bytes = stored_bytes.bytes + excluded.bytes`, Args: []any{s.Server, bytes}, What: "count stored bytes",
	})
}

// StoredBytes returns the number of bytes that journals take as they are stored: compressed if they are
// packed, and without the tables.
func (s *Journals) StoredBytes(ctx context.Context) (int64, error) {
	var bytes int64
	if err := s.Reader.QueryRowContext(ctx, `SELECT COALESCE(SUM(bytes), 0) FROM stored_bytes`).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("count stored bytes: %w", err)
	}
	return bytes, nil
}

// DropBlockData deletes the bytes of blocks between two offsets. Rows that have samples stay, for charts.
func (s *Journals) DropBlockData(ctx context.Context, t *db.Tx, key tables.AttemptKey, from, to int64) error {
	const which = `run_id = $1 AND attempt = $2 AND start >= $3 AND start < $4 AND codec <> 2`
	args := []any{key.Run, key.Attempt, from, to}
	objects, err := db.QueryNumbers(ctx, t, `SELECT DISTINCT object FROM blocks WHERE object IS NOT NULL AND `+which, args...)
	if err != nil {
		return err
	}
	var freed int64
	err = t.QueryRowContext(ctx, `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE samples IS NOT NULL AND `+which, args...).Scan(&freed)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE blocks SET codec = 2, data = $5, stored = 0, segment = NULL, object = NULL, place = NULL
		WHERE samples IS NOT NULL AND `+which, append(args, []byte{})...)
	if err != nil {
		return err
	}
	if err := s.DeleteBlocks(ctx, t, which, args...); err != nil {
		return err
	}
	if err := releaseObjects(ctx, t, objects); err != nil {
		return err
	}
	return s.CountBytes(ctx, t, -freed)
}
