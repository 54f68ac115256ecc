package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
)

// Keep says how much is kept. A zero is no limit.
type Keep struct {
	Age    time.Duration // runs that ended longer ago are deleted
	Bytes  int64         // the oldest runs are deleted while journals take more, as they are stored
	Runs   int           // of each job, older ended runs than the last so many are deleted
	RunLog int64         // of longer journals only the beginning and the end are kept
}

const (
	// retentionInterval is the interval between two searches for runs to delete.
	retentionInterval = time.Minute
	// deleteRuns and deleteBlocks bound what one transaction deletes.
	maxDeletedRuns   = 20
	maxDeletedBlocks = 2000
)

// EndedStates is the states in which a run has ended for good.
const EndedStates = `('succeeded', 'failed', 'canceled', 'timed_out', 'lost')`

// OtherStates is all other states. An index finds runs by the states that they are in, and not by
// those that they are not in.
const OtherStates = `('queued', 'starting', 'installing', 'running', 'stopping', 'retrying')`

// deletable is the condition on runs that may be deleted, and did not fail to be a moment ago;
// argument now holds the time.
func deletable(now int) string {
	// Nearly all runs have ended: an index of states would have SQLite sort them all, so the
	// condition is one that it does not use that index for.
	return `(state IN ` + EndedStates + `) IS TRUE AND` + troubled.NotPaused(troubled.Remove, "runs.id", now)
}

// The queries of retention run once a minute, however many runs there are: each reads an index.
var (
	// OldRuns finds runs that ended, or sent their last sign, before a time.
	OldRuns = `SELECT id FROM runs WHERE start_at < $1 AND created_at < $1 AND ` + deletable(3) + `
		AND (ended_at < $1 OR reported_at < $1) ORDER BY start_at, id LIMIT $2`
	// OldestRun finds the oldest ended run, and OldestWithLater the oldest one that is not
	// the last of its job.
	OldestRun       = `SELECT id FROM runs WHERE ` + deletable(1) + ` ORDER BY start_at, id LIMIT 1`
	OldestWithLater = `SELECT id FROM runs WHERE ` + deletable(1) + `
		AND EXISTS (SELECT 1 FROM runs r WHERE r.job = runs.job AND (r.start_at, r.id) > (runs.start_at, runs.id)) ORDER BY start_at, id LIMIT 1`
	// BeyondLastRuns finds the ended runs of a job without its last ones.
	BeyondLastRuns = `SELECT id FROM runs WHERE job = $1 AND ` + deletable(4) + `
		ORDER BY start_at DESC, id DESC LIMIT $2 OFFSET $3`
	// BytesOfActive counts the stored bytes of runs that have not ended.
	BytesOfActive = `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks
		WHERE codec <> 2 AND run_id IN (SELECT id FROM runs WHERE state IN ` + OtherStates + `)`
)

// applyRetention deletes the runs that are beyond what is to be kept, in small steps.
func (s *Maintenance) applyRetention(ctx context.Context, now time.Time) error {
	var errs [3]error
	if s.Keep.Age > 0 {
		err := s.countDeleted("age", func() error { return s.deleteOlder(ctx, now.Add(-s.Keep.Age)) })
		if err != nil {
			errs[0] = fmt.Errorf("delete runs older than %s: %w", s.Keep.Age, err)
		}
	}
	if s.Keep.Runs > 0 {
		err := s.countDeleted("runs", func() error { return s.deleteBeyondLast(ctx, s.Keep.Runs) })
		if err != nil {
			errs[1] = fmt.Errorf("delete all but the last %d runs of each job: %w", s.Keep.Runs, err)
		}
	}
	if s.Keep.Bytes > 0 {
		err := s.countDeleted("bytes", func() error { return s.deleteToSize(ctx, s.Keep.Bytes) })
		if err != nil {
			errs[2] = fmt.Errorf("delete the oldest runs until journals take %d bytes: %w", s.Keep.Bytes, err)
		}
	}
	return errors.Join(errs[:]...)
}

// countDeleted reports how many runs a rule of retention deleted, also when it then failed.
func (s *Maintenance) countDeleted(rule string, keep func() error) error {
	before := s.deleted.Load()
	err := keep()
	if n := s.deleted.Load() - before; n > 0 && s.onDeleted != nil {
		s.onDeleted(rule, int(n))
	}
	return err
}

// deleteOlder deletes the runs that ended before a time. An agent's clock may be years ahead:
// a run without a sign since has ended by then too.
func (s *Maintenance) deleteOlder(ctx context.Context, before time.Time) error {
	return s.deleteBatches(ctx, func() ([]string, error) {
		return s.ReadTexts(ctx, OldRuns, db.Micros(before), maxDeletedRuns, db.Micros(s.Now()))
	})
}

// deleteToSize deletes the oldest ended runs, the last one of each job after all others, until
// journals take no more than most. Runs that go on may take the room of at most half of it: a
// single one that prints without end must not delete the history of all jobs.
func (s *Maintenance) deleteToSize(ctx context.Context, most int64) error {
	stored, err := s.StoredBytes(ctx)
	if err != nil || stored <= most {
		return err
	}
	active, err := s.activeBytes(ctx)
	if err != nil {
		return err
	}
	goal := active + max(most-active, most/2)
	for _, oldest := range []string{OldestWithLater, OldestRun} {
		err := s.deleteBatches(ctx, func() ([]string, error) {
			bytes, err := s.StoredBytes(ctx)
			if err != nil || bytes <= goal {
				return nil, err
			}
			return s.ReadTexts(ctx, oldest, db.Micros(s.Now()))
		})
		if err != nil {
			return err
		}
	}
	if stored, err = s.StoredBytes(ctx); err != nil || stored <= most {
		return err
	}
	return fmt.Errorf("they take %d bytes still, %d of them those of runs that go on, which are not deleted: a limit for each run (--run-log-limit) would bound them", stored, active)
}

// activeBytes is how many of the stored bytes are those of runs that have not ended.
func (s *Maintenance) activeBytes(ctx context.Context) (int64, error) {
	var bytes int64
	if err := s.Reader.QueryRowContext(ctx, BytesOfActive).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("count the bytes of runs that go on: %w", err)
	}
	return bytes, nil
}

func (s *Maintenance) deleteBeyondLast(ctx context.Context, n int) error {
	jobs, err := s.ReadTexts(ctx, `SELECT job FROM run_counts WHERE state IN `+EndedStates+` GROUP BY job HAVING SUM(n) > $1`, n)
	if err != nil {
		return err
	}
	for _, name := range jobs {
		err := s.deleteBatches(ctx, func() ([]string, error) {
			return s.ReadTexts(ctx, BeyondLastRuns, name, maxDeletedRuns, n, db.Micros(s.Now()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteBatches deletes runs as long as next names some.
func (s *Maintenance) deleteBatches(ctx context.Context, next func() ([]string, error)) error {
	for {
		ids, err := next()
		if err != nil || len(ids) == 0 {
			return err
		}
		began := time.Now()
		for _, id := range ids {
			deleted, err := s.DeleteEndedRun(ctx, id)
			if err == nil {
				if deleted {
					s.deleted.Add(1)
				}
				s.ClearFailure(ctx, troubled.Remove, id)
			} else if err := s.Skip(ctx, troubled.Remove, id, fmt.Errorf("delete run %s: %w", id, err)); err != nil {
				return err
			}
		}
		if err := db.Sleep(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// DeleteEndedRun deletes an ended run and all that belongs to it: first the blocks, some at a
// time, for a long log has many; then the rest at once. One that goes on, because another
// attempt began, is left alone: deleted is false then.
func (s *Maintenance) DeleteEndedRun(ctx context.Context, id string) (deleted bool, err error) {
	for more := true; more; {
		err := s.Write(ctx, db.Runs(id), func(t *db.Tx) error {
			more, deleted = false, false
			ended, err := lockEnded(ctx, t, id)
			if err != nil || !ended {
				return err
			}
			table := `(SELECT run_id, attempt, start FROM blocks WHERE run_id = $1 ORDER BY attempt, start LIMIT $2)`
			if err := s.DeleteBlocks(ctx, t, `(run_id, attempt, start) IN `+table, id, maxDeletedBlocks); err != nil {
				return err
			}
			var left int64
			err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE run_id = $1 LIMIT 1) AS one`, id).Scan(&left)
			if more = left > 0; err != nil || more {
				return err
			}
			for _, query := range []string{`DELETE FROM attempts WHERE run_id = $1`, `DELETE FROM run_owners WHERE run_id = $1`} {
				if _, err := t.ExecContext(ctx, query, id); err != nil {
					return err
				}
			}
			var of string
			if err := t.QueryRowContext(ctx, `DELETE FROM runs WHERE id = $1 RETURNING job`, id).Scan(&of); err != nil {
				return err
			}
			deleted = true
			return tables.DeleteUnusedJob(ctx, t, of)
		})
		if err != nil {
			return false, err
		}
	}
	return deleted, nil
}

// lockEnded locks a run and reports whether it has ended for good.
func lockEnded(ctx context.Context, t *db.Tx, id string) (bool, error) {
	var n int
	err := t.QueryRowContext(ctx, `SELECT 1 FROM runs WHERE id = $1 AND state IN `+EndedStates+t.Dialect.Lock, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// maxStoredRows is how many rows count stored bytes before they are added up: each start of a
// server begins one.
const maxStoredRows = 16

// mergeStoredBytes makes one row of those that count stored bytes. A server whose row goes
// begins another.
func (s *Maintenance) mergeStoredBytes(ctx context.Context) error {
	var n int
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM stored_bytes`).Scan(&n)
	if err == nil && n > maxStoredRows {
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			rows, err := db.QueryNumbers(ctx, t, `DELETE FROM stored_bytes WHERE server <> $1 RETURNING bytes`, s.Server)
			if err != nil {
				return err
			}
			var sum int64
			for _, bytes := range rows {
				sum += bytes
			}
			return s.CountBytes(ctx, t, sum)
		})
	}
	if err != nil {
		return fmt.Errorf("add up the counts of stored bytes: %w", err)
	}
	return nil
}
