package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/erase"
	"stint.dev/stint/internal/store/retention"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job/api"
)

const (
	// tidyInterval is the interval between two rounds of maintenance.
	tidyInterval = 10 * time.Second
	// segmentIdleDelay is the age from which the journals of a full segment are packed to release it.
	segmentIdleDelay = time.Hour
	// objectWriteTimeout is the time for which an object may be written to the archive.
	objectWriteTimeout = time.Hour
	tidyBatch          = 100
	// busyDelay is the time for which packing waits after a large group of appends, and maxPackDelay the
	// longest time for which it waits in all.
	busyDelay    = 3 * time.Second
	maxPackDelay = 10 * time.Minute
)

// Maintenance deletes runs, and trims, packs and moves journals.
type Maintenance struct {
	*db.DB
	*troubled.Items
	*blocks.Journals
	others    StoreParts
	limits    *retention.Retention
	dir       string // the data directory; empty for PostgreSQL
	Keep      Keep
	onDeleted func(*keep.Deleted) // may be nil
	eraser    *erase.Eraser
}

// StoreParts are the methods of other parts of a store that maintenance calls.
type StoreParts interface {
	// BusyAt returns when the last large group of appends arrived.
	BusyAt() time.Time
	// CheckKey records whether this server lacks the key with which others encrypt.
	CheckKey(ctx context.Context) error
	// Job returns a job, and Policy its policy, or *query.NotFoundError.
	Job(ctx context.Context, name string) (api.Summary, error)
	Policy(ctx context.Context, name string) (policy.Stored, error)
}

// New returns the Maintenance of a store. deleted, unless it is nil, is called after each pass of retention that deleted
// something.
func New(d *db.DB, items *troubled.Items, j *blocks.Journals, others StoreParts, limits *retention.Retention, dir string, most Keep, deleted func(*keep.Deleted)) *Maintenance {
	return &Maintenance{DB: d, Items: items, Journals: j, others: others, limits: limits, dir: dir, Keep: most, onDeleted: deleted, eraser: erase.New(d)}
}

// Maintain maintains the store until ctx ends: it deletes runs by retention, makes new runs searchable,
// trims and packs journals, deletes unused segments and objects, and erases the bytes of runs that somebody
// deleted. The archive, which may be slow,
// holds up nothing else. An item that fails is skipped and tried again. A round that fails is reported,
// and followed by the next one. Several servers may maintain one database.
func (s *Maintenance) Maintain(ctx context.Context, report func(error)) {
	var mu sync.Mutex
	reported := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && ctx.Err() == nil {
			report(err)
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		begin := s.SinceBoot()
		var ages ages
		periodic.Loop{Every: tidyInterval, Now: s.Now}.Run(ctx, func(now time.Time) error {
			retention, versions, journals := ages.due(now, s.SinceBoot()-begin)
			if retention {
				reported(s.ApplyRetention(ctx, now))
			}
			if versions {
				reported(s.sweepVersions(ctx, now))
			}
			if journals {
				reported(s.Expire(ctx, attemptExpiry, now))
			}
			reported(errors.Join(s.tidyRows(ctx, now), s.tidySegments(ctx, now)))
			return nil
		})
	})
	all.Go(func() {
		packed := s.Now()
		periodic.Loop{Every: tidyInterval, Now: s.Now}.Run(ctx, func(now time.Time) error {
			// While much arrives, packing waits, because it would take a core from the appends.
			canPack := func() bool {
				return clock.HasPassed(packed, now, maxPackDelay) || clock.HasPassed(s.others.BusyAt(), s.Now(), busyDelay)
			}
			done, err := s.tidyArchive(ctx, now, canPack)
			if done {
				packed = now
			}
			reported(err)
			return nil
		})
	})
	all.Go(func() { s.EraseDeleted(ctx) })
	all.Wait()
}

// ages says when it is time to delete what is too old.
type ages struct {
	watch         clock.Watch
	keeps, sweeps time.Duration // when runs and versions are to be deleted next
}

// due takes what the clock shows, and the time since the loop began. It returns whether it is time to delete runs by
// retention, versions of definitions, and journals of nobody. Nothing is, for a while after the clock was set: a clock
// that is wrong would make everything old.
func (a *ages) due(now time.Time, after time.Duration) (retention, versions, journals bool) {
	if _, held := a.watch.Compare(now, after); held {
		return false, false, false
	}
	if retention = after >= a.keeps; retention {
		a.keeps = after + retentionInterval
	}
	if versions = after >= a.sweeps; versions {
		a.sweeps = after + versionsInterval
	}
	return retention, versions, true
}

// Tidy does all maintenance that is due now. It pauses between two steps for as long as the last one took,
// so that it takes at most half of one core.
func (s *Maintenance) Tidy(ctx context.Context, now time.Time) error {
	err := errors.Join(s.ApplyRetention(ctx, now), s.sweepVersions(ctx, now), s.Expire(ctx, attemptExpiry, now), s.tidyRows(ctx, now))
	_, archived := s.tidyArchive(ctx, now, func() bool { return true })
	return errors.Join(err, archived, s.tidySegments(ctx, now))
}

// tidyRows does the maintenance that needs only the database.
func (s *Maintenance) tidyRows(ctx context.Context, now time.Time) error {
	return errors.Join(
		s.followClock(ctx), s.Refresh(ctx), s.others.CheckKey(ctx), s.MergeCounts(ctx), s.mergeStoredBytes(ctx),
		s.RunPacedSteps(ctx, textsPace, func() (bool, error) { return s.deleteStaleTexts(ctx) }),
		s.RunPacedSteps(ctx, textsPace, func() (bool, error) { return s.IndexTexts(ctx) }),
		s.RunSteps(ctx, func() (bool, error) { return s.trimOne(ctx, now) }),
	)
}

func (s *Maintenance) tidySegments(ctx context.Context, now time.Time) error {
	return s.unlessBackup(func() error { return s.sweepSegments(ctx, now) })
}

// tidyArchive packs journals as long as canPack allows it, and deletes objects. It reports whether nothing is
// left to pack.
func (s *Maintenance) tidyArchive(ctx context.Context, now time.Time, canPack func() bool) (packed bool, err error) {
	// Journals that stay in rows are packed first: they need no archive, which may not answer.
	if _, err := s.packDue(ctx, now, rowBytes, canPack); err != nil {
		return false, err
	}
	packed, err = s.packDue(ctx, now, math.MaxInt64, canPack)
	return packed, errors.Join(err, s.unlessBackup(func() error { return s.sweepObjects(ctx, now) }))
}

// unlessBackup calls remove, unless a backup is running.
func (s *Maintenance) unlessBackup(remove func() error) (err error) {
	if s.dir != "" {
		release, err := datadir.Hold(s.dir, false)
		if err != nil || release == nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	return remove()
}

// sweepObjects deletes unused objects: those that were released, and those whose writing was not finished.
func (s *Maintenance) sweepObjects(ctx context.Context, now time.Time) error {
	if s.Archive == nil {
		return nil
	}
	type object struct {
		id   int64
		name string
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT id, name FROM objects
		WHERE (state = 'dead' OR state = 'writing' AND (changed_at < $1 OR changed_at < $4 AND EXISTS (SELECT 1 FROM deleted_runs WHERE run_id = substr(objects.name, 1, 36)))) AND`+troubled.NotPaused(troubled.Object, "objects.name", 3)+`
		ORDER BY changed_at, id LIMIT $2`, db.Micros(now.Add(-objectWriteTimeout)), tidyBatch, db.Micros(s.Now()), db.Micros(now.Add(-packTimeout)))
	if err != nil {
		return fmt.Errorf("select objects to delete: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.id, &o.name); err != nil {
			return fmt.Errorf("select objects to delete: %w", err)
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("select objects to delete: %w", err)
	}
	failures := 0
	for _, o := range all {
		if err := s.Archive.Delete(ctx, o.name); err != nil {
			if serr := s.Skip(ctx, troubled.Object, o.name, err); serr != nil {
				return serr
			}
			if failures++; failures >= maxArchiveFailures {
				return fmt.Errorf("delete objects: %d in a row failed; the others are tried later: %w", failures, err)
			}
			continue
		}
		failures = 0
		s.ClearFailure(ctx, troubled.Object, o.name)
		err := s.Write(ctx, db.None, func(t *db.Tx) error {
			_, err := t.ExecContext(ctx, `DELETE FROM objects WHERE id = $1 AND state <> 'live'`, o.id)
			return err
		})
		if err != nil {
			return fmt.Errorf("delete object %s: %w", o.name, err)
		}
	}
	return nil
}

// sweepSegments removes unused segments, and schedules the packing of journals that keep old ones.
func (s *Maintenance) sweepSegments(ctx context.Context, now time.Time) error {
	if s.Segments == nil {
		return nil
	}
	all, err := s.Segments.List()
	if err != nil {
		return err
	}
	for _, one := range all {
		// Every transaction that wrote to a segment other than the current one has ended, because the
		// next segment was begun by a later transaction.
		id := strconv.FormatInt(one.ID, 10)
		if one.ID == s.Segments.Active() || s.IsPaused(troubled.Segment, id) {
			continue
		}
		if err := s.sweepSegment(ctx, one.ID, now); err == nil {
			s.ClearFailure(ctx, troubled.Segment, id)
		} else if err := s.Skip(ctx, troubled.Segment, id, err); err != nil {
			return err
		}
	}
	return nil
}

// sweepSegment removes an unused segment, or releases one that is in use.
func (s *Maintenance) sweepSegment(ctx context.Context, id int64, now time.Time) error {
	var used int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE segment = $1 LIMIT 1) AS one`, id).Scan(&used)
	if err != nil {
		return fmt.Errorf("check whether segment %d is in use: %w", id, err)
	}
	if used == 0 {
		return s.Segments.Remove(id)
	}
	return s.releaseSegment(ctx, id, now)
}

// releaseSegment schedules the packing of the journals that keep a segment, if that is old enough.
func (s *Maintenance) releaseSegment(ctx context.Context, id int64, now time.Time) error {
	info, err := os.Stat(s.Segments.Path(id))
	if err != nil || now.Sub(info.ModTime()) < segmentIdleDelay {
		return nil //nolint:nilerr // removed meanwhile, which is as good
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `UPDATE attempts SET pack_at = $2 WHERE pack_at IS NULL AND (run_id, attempt) IN
			(SELECT DISTINCT run_id, attempt FROM blocks WHERE segment = $1 AND codec = 0 LIMIT $3)`, id, db.Micros(now), tidyBatch)
		return err
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("schedule the packing of segment %d: %w", id, err)
	}
	return s.copyPacked(ctx, id, info.Size())
}
