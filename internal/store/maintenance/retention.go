package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/retention"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
)

// Keep limits what is kept. Zero means no limit.
type Keep struct {
	Age    time.Duration // runs that ended longer ago are deleted
	Bytes  int64         // the oldest runs are deleted while journals take more, as they are stored
	Runs   int           // of each job, older ended runs than the last so many are deleted
	RunLog int64         // of longer journals only the beginning and the end are kept
	AtOnce bool          // Age and Runs never wait, however many runs they delete at once
}

const (
	// retentionInterval is the interval between two searches for runs to delete.
	retentionInterval = time.Minute
	// maxDeletedRuns and maxDeletedBlocks limit what one transaction deletes.
	maxDeletedRuns   = 20
	maxDeletedBlocks = 2000
)

const endedStates = retention.EndedStates

// otherStates are all other states. A condition on the states that a run may have uses an index, one on
// those that it may not have does not.
const otherStates = `('queued', 'starting', 'installing', 'running', 'stopping', 'retrying')`

// deletable returns the condition on runs that may be deleted and are not paused; now is the number of the
// argument that holds the time.
func deletable(now int) string {
	// Nearly all runs have ended, so with an index of states SQLite would sort them all: the
	// condition is one that it does not use that index for.
	return `(state IN ` + endedStates + `) IS TRUE AND` + troubled.NotPaused(troubled.Remove, "runs.id", now)
}

var endedBefore = `start_at < $1 AND created_at < $1 AND ` + deletable(3) + ` AND (ended_at < $1 OR reported_at < $1)`

// The queries of retention run once a minute. Each reads an index, however many runs there are.
var (
	// oldRuns selects runs that ended, or reported last, before a time, of jobs that have no age of their own; oldRunsOf those of a job.
	oldRuns   = `SELECT id FROM runs WHERE ` + endedBefore + ` AND NOT` + retention.Own(keep.Days) + ` ORDER BY start_at, id LIMIT $2`
	oldRunsOf = `SELECT id FROM runs WHERE job = $4 AND ` + endedBefore + ` ORDER BY start_at, id LIMIT $2`
	// oldestRun selects the oldest ended run, and oldestWithLater the oldest one that is not the last
	// one of its job.
	oldestRun       = `SELECT id FROM runs WHERE ` + deletable(1) + ` ORDER BY start_at, id LIMIT 1`
	oldestWithLater = `SELECT id FROM runs WHERE ` + deletable(1) + `
		AND EXISTS (SELECT 1 FROM runs r WHERE r.job = runs.job AND (r.start_at, r.id) > (runs.start_at, runs.id)) ORDER BY start_at, id LIMIT 1`
	// beyondLastRuns selects the ended runs of a job without its last ones.
	beyondLastRuns = `SELECT id FROM runs WHERE job = $1 AND ` + deletable(4) + `
		ORDER BY start_at DESC, id DESC LIMIT $2 OFFSET $3`
	// bytesOfActive sums up the stored bytes of runs that have not ended.
	bytesOfActive = `SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks
		WHERE codec <> 2 AND run_id IN (SELECT id FROM runs WHERE state IN ` + otherStates + `)`
)

// ApplyRetention deletes the runs that exceed the limits of Keep and of policies, in small steps.
func (s *Maintenance) ApplyRetention(ctx context.Context, now time.Time) error {
	limits, err := s.limits.Follow(ctx, now, retention.Server(s.Keep.Age, s.Keep.Runs), s.Keep.AtOnce)
	if err != nil {
		return err
	}
	var deleted keep.Deleted
	var errs []error
	for _, by := range limits.Sorted() {
		if limits[by] == 0 {
			continue
		}
		if err := s.deleteBy(ctx, by, limits[by], now, counterOf(&deleted, by)); err != nil {
			errs = append(errs, fmt.Errorf("delete the runs that %s of %s does not keep: %w", by.Name(), by.Text(limits[by]), err))
		}
	}
	if s.Keep.Bytes > 0 {
		if err := s.deleteToSize(ctx, counterOf(&deleted, keep.Setting{Rule: keep.Bytes}), s.Keep.Bytes); err != nil {
			errs = append(errs, fmt.Errorf("delete the oldest runs until journals take %d bytes: %w", s.Keep.Bytes, err))
		}
	}
	if deleted.Runs > 0 && s.onDeleted != nil {
		s.onDeleted(&deleted)
	}
	return errors.Join(errs...)
}

// deleteBy deletes the runs that one limit does not keep: of one job, or of all that have none of their own.
func (s *Maintenance) deleteBy(ctx context.Context, by keep.Setting, limit int64, now time.Time, count counter) error {
	switch {
	case by.Rule == keep.Runs && by.Job == "":
		return s.deleteBeyondLast(ctx, count, int(limit))
	case by.Rule == keep.Runs:
		return s.deleteBeyondLastOf(ctx, count, by.Job, int(limit))
	case by.Job == "":
		return s.deleteOlder(ctx, count, now.Add(-time.Duration(limit)*time.Microsecond))
	}
	return s.deleteOlder(ctx, count, now.Add(-time.Duration(limit)*time.Microsecond), by.Job)
}

// deleteOlder deletes the runs that ended before a time, of one job or of all that have no limit of their own. Because an agent's
// clock may be years ahead, a run that has not reported since has ended, too.
func (s *Maintenance) deleteOlder(ctx context.Context, count counter, before time.Time, job ...string) error {
	return s.deleteBatches(ctx, count, func() ([]string, error) {
		if len(job) > 0 {
			return s.ReadTexts(ctx, oldRunsOf, db.Micros(before), maxDeletedRuns, db.Micros(s.Now()), job[0])
		}
		return s.ReadTexts(ctx, oldRuns, db.Micros(before), maxDeletedRuns, db.Micros(s.Now()))
	})
}

// deleteToSize deletes the oldest ended runs, the last one of each job after all others, until journals
// take at most most bytes. Active runs reduce that by at most half: a single run that prints without end
// must not delete the history of all jobs.
func (s *Maintenance) deleteToSize(ctx context.Context, count counter, most int64) error {
	stored, err := s.StoredBytes(ctx)
	if err != nil || stored <= most {
		return err
	}
	active, err := s.activeBytes(ctx)
	if err != nil {
		return err
	}
	goal := active + max(most-active, most/2)
	for _, oldest := range []string{oldestWithLater, oldestRun} {
		err := s.deleteBatches(ctx, count, func() ([]string, error) {
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
	return fmt.Errorf("they still take %d bytes, %d of them for active runs, which are not deleted: limit each run with --run-log-limit", stored, active)
}

// activeBytes returns the number of stored bytes of runs that have not ended.
func (s *Maintenance) activeBytes(ctx context.Context) (int64, error) {
	var bytes int64
	if err := s.Reader.QueryRowContext(ctx, bytesOfActive).Scan(&bytes); err != nil {
		return 0, fmt.Errorf("count the bytes of active runs: %w", err)
	}
	return bytes, nil
}

// deleteBeyondLast deletes all but the last runs of each job that has no limit of its own.
func (s *Maintenance) deleteBeyondLast(ctx context.Context, count counter, n int) error {
	jobs, err := s.ReadTexts(ctx, `SELECT job FROM run_counts AS runs WHERE state IN `+endedStates+` AND NOT`+retention.Own(keep.Runs)+` GROUP BY job HAVING SUM(n) > $1`, n)
	if err != nil {
		return err
	}
	for _, name := range jobs {
		if err := s.deleteBeyondLastOf(ctx, count, name, n); err != nil {
			return err
		}
	}
	return nil
}

// deleteBeyondLastOf deletes all but the last runs of a job.
func (s *Maintenance) deleteBeyondLastOf(ctx context.Context, count counter, name string, n int) error {
	return s.deleteBatches(ctx, count, func() ([]string, error) {
		return s.ReadTexts(ctx, beyondLastRuns, name, maxDeletedRuns, n, db.Micros(s.Now()))
	})
}

// deleteBatches deletes the runs that next returns, until it returns none, and counts them.
func (s *Maintenance) deleteBatches(ctx context.Context, count counter, next func() ([]string, error)) error {
	for {
		ids, err := next()
		if err != nil || len(ids) == 0 {
			return err
		}
		began := s.Now()
		for _, id := range ids {
			of, bytes, err := s.storedOf(ctx, id)
			if err != nil {
				return err
			}
			deleted, err := s.DeleteEndedRun(ctx, id)
			if err == nil {
				if deleted {
					count(of, bytes)
				}
				s.ClearFailure(ctx, troubled.Remove, id)
			} else if err := s.Skip(ctx, troubled.Remove, id, fmt.Errorf("delete run %s: %w", id, err)); err != nil {
				return err
			}
		}
		if err := s.Pause(ctx, began); err != nil {
			return err
		}
	}
}

// DeleteEndedRun deletes an ended run and all its rows: first the blocks, in batches, because a long log
// has many of them, then the others. It does not delete a run of which another attempt began: then
// deleted is false.
func (s *Maintenance) DeleteEndedRun(ctx context.Context, id string) (deleted bool, err error) {
	for more := true; more; {
		err := s.Write(ctx, db.Runs(id), func(t *db.Tx) error {
			more, deleted = false, false
			ended, err := lockEnded(ctx, t, id)
			if err != nil || !ended {
				return err
			}
			if more, err = s.deleteSomeBlocks(ctx, t, id); err != nil || more {
				return err
			}
			if _, err := t.ExecContext(ctx, `DELETE FROM attempts WHERE run_id = $1`, id); err != nil {
				return err
			}
			deleted = true
			_, err = deleteRunRow(ctx, t, id)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return deleted, nil
}

// deleteSomeBlocks deletes blocks of a run, and reports whether it has more.
func (s *Maintenance) deleteSomeBlocks(ctx context.Context, t *db.Tx, run string) (more bool, err error) {
	const some = `(SELECT run_id, attempt, start FROM blocks WHERE run_id = $1 ORDER BY attempt, start LIMIT $2)`
	if err := s.DeleteBlocks(ctx, t, `(run_id, attempt, start) IN `+some, run, maxDeletedBlocks); err != nil {
		return false, err
	}
	var left int64
	err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE run_id = $1 LIMIT 1) AS one`, run).Scan(&left)
	return left > 0, err
}

// deleteRunRow deletes a run with all its rows except attempts and blocks, and returns its job, which goes with its last run
// unless something else is stored of it.
func deleteRunRow(ctx context.Context, t *db.Tx, id string) (of string, err error) {
	for _, query := range []string{`DELETE FROM run_owners WHERE run_id = $1`, `DELETE FROM wire_runs WHERE run_id = $1`} {
		if _, err := t.ExecContext(ctx, query, id); err != nil {
			return "", err
		}
	}
	if err := t.QueryRowContext(ctx, `DELETE FROM runs WHERE id = $1 RETURNING job`, id).Scan(&of); err != nil {
		return "", err
	}
	return of, tables.DeleteUnusedJob(ctx, t, of)
}

// lockEnded locks a run and reports whether it has ended.
func lockEnded(ctx context.Context, t *db.Tx, id string) (bool, error) {
	var n int
	err := t.QueryRowContext(ctx, `SELECT 1 FROM runs WHERE id = $1 AND state IN `+endedStates+t.Dialect.Lock, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// maxStoredRows is the number of rows of stored_bytes from which they are merged: each start of a server
// adds one.
const maxStoredRows = 16

// mergeStoredBytes merges the rows that count stored bytes. A server whose row was deleted adds another one.
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
