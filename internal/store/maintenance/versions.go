package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

const (
	// versionsInterval is the interval between two searches for versions of definitions to delete.
	versionsInterval = time.Hour
	// keptVersions is the number of versions of a definition that are kept: those that became it last.
	keptVersions = 50
	// unusedVersionsTimeout is the time after which the versions of a job are deleted that has neither a
	// definition nor runs.
	unusedVersionsTimeout = 30 * 24 * time.Hour
)

// What selects the jobs that have versions to delete.
const (
	manyVersions   = `SELECT job FROM definition_versions GROUP BY job HAVING COUNT(*) > $1 ORDER BY job`
	unusedVersions = `SELECT job FROM definition_versions v
		WHERE NOT EXISTS (SELECT 1 FROM definitions d WHERE d.job = v.job) AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.job = v.job)
		GROUP BY job HAVING MAX(applied_at) < $1 ORDER BY job`
	// firstKept returns when the first version that is kept became the definition.
	firstKept = `SELECT applied_at FROM definition_versions WHERE job = $1 ORDER BY applied_at DESC LIMIT 1 OFFSET $2`
)

const notCurrent = ` AND NOT EXISTS (SELECT 1 FROM definitions d WHERE d.job = v.job AND d.version = v.hash)`

// oldVersions selects the versions of a job that became its definition before a time and that nothing
// refers to. Whatever refers to versions needs a condition here.
const oldVersions = `SELECT hash FROM definition_versions v WHERE job = $1 AND applied_at < $2` + notCurrent + notReferred + ` ORDER BY hash`

const notReferred = ` AND hash NOT IN (SELECT s.definition FROM runs r JOIN submissions s ON s.run_id = r.id WHERE r.job = $1)`

// deleteVersions deletes them. The transaction has locked the versions of the job before: a transaction that refers to one has
// locked it too, and has ended, so that this statement sees it.
const deleteVersions = `DELETE FROM definition_versions AS v WHERE job = $1 AND applied_at < $2` + notCurrent + notReferred

// sweepVersions deletes the versions of definitions that are neither among the last of their job nor
// referred to, and those of jobs that have neither a definition nor runs.
func (s *Maintenance) sweepVersions(ctx context.Context, now time.Time) error {
	many, err := s.ReadTexts(ctx, manyVersions, keptVersions)
	if err != nil {
		return fmt.Errorf("select definitions with old versions: %w", err)
	}
	for _, name := range many {
		var before int64
		err := s.Reader.QueryRowContext(ctx, firstKept, name, keptVersions-1).Scan(&before)
		if err == nil {
			err = s.deleteVersions(ctx, name, before)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // no row: deleted meanwhile
			return fmt.Errorf("delete old versions of job %s: %w", job.Quote(name), err)
		}
	}
	before := db.Micros(now.Add(-unusedVersionsTimeout))
	unused, err := s.ReadTexts(ctx, unusedVersions, before)
	if err != nil {
		return fmt.Errorf("select versions without a definition: %w", err)
	}
	for _, name := range unused {
		if err := s.deleteVersions(ctx, name, before); err != nil {
			return fmt.Errorf("delete the versions of job %s, which has no definition: %w", job.Quote(name), err)
		}
	}
	return nil
}

// deleteVersions deletes the unreferenced versions of a job that became its definition before a time.
func (s *Maintenance) deleteVersions(ctx context.Context, name string, before int64) error {
	began := s.Now()
	hashes, err := s.ReadTexts(ctx, oldVersions, name, before)
	if err != nil || len(hashes) == 0 {
		return err
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		if t.Dialect.Postgres {
			if _, err := db.QueryTexts(ctx, t, `SELECT hash FROM definition_versions WHERE job = $1 AND applied_at < $2 ORDER BY hash`+t.Dialect.Lock, name, before); err != nil {
				return err
			}
		}
		_, err := t.ExecContext(ctx, deleteVersions, name, before)
		return err
	})
	if err != nil {
		return err
	}
	return s.Pause(ctx, began)
}
