package store

import (
	"context"
	"fmt"
	"time"
)

// Keep says how much is kept. A zero is no limit.
type Keep struct {
	Age    time.Duration // runs that ended longer ago are deleted
	Bytes  int64         // the oldest runs are deleted while journals take more, as they are stored
	Runs   int           // of each job, older ended runs than the last so many are deleted
	RunLog int64         // of longer journals only the beginning and the end are kept
}

const (
	// keepEvery is how often runs are looked for that are to be deleted.
	keepEvery = time.Minute
	// deleteRuns and deleteBlocks bound what one transaction deletes.
	deleteRunsMost   = 20
	deleteBlocksMost = 2000
)

// over is the states in which a run has ended for good.
const over = `('succeeded', 'failed', 'canceled', 'timed_out', 'lost')`

// keepLess deletes the runs that are beyond what is to be kept, in small steps.
func (s *Store) keepLess(ctx context.Context, now time.Time) error {
	k := s.keep
	if k.Age > 0 {
		cutoff := micros(now.Add(-k.Age))
		err := s.deleteWhile(ctx, func() ([]string, error) {
			return s.texts(ctx, `SELECT id FROM runs WHERE created_at < $1 AND state IN `+over+`
				AND COALESCE(ended_at, heard_at) < $1 ORDER BY created_at, id LIMIT $2`, cutoff, deleteRunsMost)
		})
		if err != nil {
			return fmt.Errorf("delete runs older than %s: %w", k.Age, err)
		}
	}
	if k.Runs > 0 {
		if err := s.keepLastRuns(ctx, k.Runs); err != nil {
			return fmt.Errorf("delete all but the last %d runs of each job: %w", k.Runs, err)
		}
	}
	if k.Bytes > 0 {
		err := s.deleteWhile(ctx, func() ([]string, error) {
			bytes, err := s.StoredBytes(ctx)
			if err != nil || bytes <= k.Bytes {
				return nil, err
			}
			return s.texts(ctx, `SELECT id FROM runs WHERE state IN `+over+` ORDER BY created_at, id LIMIT 1`)
		})
		if err != nil {
			return fmt.Errorf("delete the oldest runs until journals take %d bytes: %w", k.Bytes, err)
		}
	}
	return nil
}

func (s *Store) keepLastRuns(ctx context.Context, n int) error {
	jobs, err := s.texts(ctx, `SELECT name FROM jobs WHERE next_number > $1`, n+1)
	if err != nil {
		return err
	}
	for _, name := range jobs {
		err := s.deleteWhile(ctx, func() ([]string, error) {
			return s.texts(ctx, `SELECT id FROM runs WHERE job = $1 AND state IN `+over+`
				ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3`, name, deleteRunsMost, n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteWhile deletes runs as long as next names some.
func (s *Store) deleteWhile(ctx context.Context, next func() ([]string, error)) error {
	for {
		ids, err := next()
		if err != nil || len(ids) == 0 {
			return err
		}
		began := time.Now()
		for _, id := range ids {
			if err := s.deleteRun(ctx, id); err != nil {
				return fmt.Errorf("delete run %s: %w", id, err)
			}
		}
		if err := rest(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// deleteRun deletes an ended run and all that belongs to it: first the blocks, some at a
// time, for a long log has many; then the rest at once.
func (s *Store) deleteRun(ctx context.Context, id string) error {
	for {
		var left int64
		err := s.write(ctx, func(t *tx) error {
			table := `(SELECT run_id, attempt, start FROM blocks WHERE run_id = $1 ORDER BY attempt, start LIMIT $2)`
			if err := s.forgetBlocks(ctx, t, `(run_id, attempt, start) IN `+table, id, deleteBlocksMost); err != nil {
				return err
			}
			return t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE run_id = $1 LIMIT 1) AS one`, id).Scan(&left)
		})
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
	}
	return s.write(ctx, func(t *tx) error {
		if err := s.forgetBlocks(ctx, t, `run_id = $1`, id); err != nil { // what came meanwhile
			return err
		}
		for _, query := range []string{`DELETE FROM attempts WHERE run_id = $1`, `DELETE FROM run_owners WHERE run_id = $1`, `DELETE FROM runs WHERE id = $1`} {
			if _, err := t.ExecContext(ctx, query, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetBlocks deletes blocks, gives up the objects that nothing else refers to, and
// counts what that frees.
func (s *Store) forgetBlocks(ctx context.Context, t *tx, which string, args ...any) error {
	var freed int64
	err := t.QueryRowContext(ctx, `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE codec <> 2 AND `+which, args...).Scan(&freed)
	if err != nil {
		return fmt.Errorf("count what goes: %w", err)
	}
	objects, err := t.numbers(ctx, `SELECT DISTINCT object FROM blocks WHERE object IS NOT NULL AND `+which, args...)
	if err != nil {
		return fmt.Errorf("look for objects: %w", err)
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM blocks WHERE `+which, args...); err != nil {
		return fmt.Errorf("delete blocks: %w", err)
	}
	if err := t.giveUp(ctx, objects); err != nil {
		return err
	}
	return s.count(ctx, t, -freed)
}

// giveUp marks those of the objects that no block refers to any more; they are deleted
// from the archive later.
func (t *tx) giveUp(ctx context.Context, objects []int64) error {
	for _, id := range objects {
		_, err := t.ExecContext(ctx, `UPDATE objects SET state = 'dead' WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM blocks WHERE object = $1)`, id)
		if err != nil {
			return fmt.Errorf("give up object %d: %w", id, err)
		}
	}
	return nil
}

// numbers runs a query whose rows are one number each.
func (t *tx) numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := t.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below tells of any error
	var all []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// count adds to the bytes that are kept. Each server has a row of its own, so that they do
// not wait for each other.
func (s *Store) count(ctx context.Context, t *tx, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	_, err := t.ExecContext(ctx, `INSERT INTO stored_bytes (server, bytes) VALUES ($1, $2)
		ON CONFLICT (server) DO UPDATE SET bytes = stored_bytes.bytes + excluded.bytes`, s.name, bytes)
	if err != nil {
		return fmt.Errorf("count stored bytes: %w", err)
	}
	return nil
}

// StoredBytes is how many bytes journals take, as they are stored: compressed once they
// are packed, and without the tables around them.
func (s *Store) StoredBytes(ctx context.Context) (int64, error) {
	var bytes int64
	if err := s.reader.QueryRowContext(ctx, `SELECT COALESCE(SUM(bytes), 0) FROM stored_bytes`).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("count stored bytes: %w", err)
	}
	return bytes, nil
}
