package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// tidyEvery is how often the store looks for what there is to tidy.
	tidyEvery = 10 * time.Second
	// segmentRest is how long a segment that grows no more is left to empty by itself.
	segmentRest = time.Hour
	// objectRest is how long an object may be on its way into the archive.
	objectRest = time.Hour
	tidyBatch  = 100
	// busyBytes is a group of appends that says that much arrives; busyRest is how long
	// packing waits after one, and packAnyway how long in all.
	busyBytes  = 512 << 10
	busyRest   = 3 * time.Second
	packAnyway = 10 * time.Minute
)

// Maintain keeps the store tidy until ctx ends: it makes the texts of new runs searchable,
// packs journals, frees segments, and deletes what nobody refers to. What goes wrong is told, and tried again later. Several
// servers may do so on one database.
func (s *Store) Maintain(ctx context.Context, tell func(error)) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var kept time.Time
	packed := time.Now()
	for {
		now := time.Now()
		// While much arrives, packing waits: it would take a core from what agents wait for.
		may := func() bool { return now.Sub(packed) > packAnyway || time.Since(s.busyAt()) > busyRest }
		var err error
		if now.Sub(kept) >= keepEvery {
			kept, err = now, s.keepLess(ctx, now)
		}
		done, terr := s.tidy(ctx, now, may)
		if done {
			packed = now
		}
		if err = errors.Join(err, terr); err != nil && ctx.Err() == nil {
			tell(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Tidy does all that is due now: deletes, trims, packs, and sweeps. Between two steps it
// rests as long as the last one took, so that it takes half of one core at most.
func (s *Store) Tidy(ctx context.Context, now time.Time) error {
	if err := s.keepLess(ctx, now); err != nil {
		return err
	}
	_, err := s.tidy(ctx, now, func() bool { return true })
	return err
}

// tidy is Tidy without deleting runs, for which much has to be looked at. It packs as long
// as it may, and reports whether nothing is left to pack.
func (s *Store) tidy(ctx context.Context, now time.Time, may func() bool) (packed bool, err error) {
	err = errors.Join(s.refreshTroubles(ctx), s.mergeCounts(ctx), repeat(ctx, func() (bool, error) { return s.indexTexts(ctx) }))
	err = errors.Join(err, repeat(ctx, func() (bool, error) { return s.trimOne(ctx, now) }))
	err = errors.Join(err, repeat(ctx, func() (bool, error) {
		if !may() {
			return false, nil
		}
		more, err := s.packOne(ctx, now)
		packed = !more && err == nil
		return more, err
	}))
	return packed, errors.Join(err, s.sweep(ctx, now))
}

// repeat takes steps while there is more to do.
func repeat(ctx context.Context, step func() (more bool, err error)) error {
	for {
		began := time.Now()
		more, err := step()
		if !more || err != nil {
			return err
		}
		if err := rest(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// busyAt is when a large group of appends arrived last.
func (s *Store) busyAt() time.Time { return time.Unix(0, s.busy.Load()) }

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sweep removes files that nobody needs, unless a backup is copying.
func (s *Store) sweep(ctx context.Context, now time.Time) (err error) {
	if s.dir != "" {
		release, err := s.hold(false)
		if err != nil || release == nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	return errors.Join(s.sweepObjects(ctx, now), s.sweepSegments(ctx, now))
}

// sweepObjects deletes objects that nobody refers to: those given up, and those that were
// on their way when a server died.
func (s *Store) sweepObjects(ctx context.Context, now time.Time) error {
	if s.archive == nil {
		return nil
	}
	type object struct {
		id   int64
		name string
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT id, name FROM objects
		WHERE state = 'dead' OR state = 'writing' AND changed_at < $1 LIMIT $2`, micros(now.Add(-objectRest)), tidyBatch)
	if err != nil {
		return fmt.Errorf("look for objects to delete: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below tells of any error
	var all []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.id, &o.name); err != nil {
			return fmt.Errorf("look for objects to delete: %w", err)
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for objects to delete: %w", err)
	}
	for _, o := range all {
		if err := s.archive.Delete(ctx, o.name); err != nil {
			return err
		}
		err := s.write(ctx, func(t *tx) error {
			_, err := t.ExecContext(ctx, `DELETE FROM objects WHERE id = $1 AND state <> 'live'`, o.id)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget object %s: %w", o.name, err)
		}
	}
	return nil
}

// sweepSegments removes segments that nothing refers to, and has the journals packed that
// keep an old one.
func (s *Store) sweepSegments(ctx context.Context, now time.Time) error {
	if s.segments == nil {
		return nil
	}
	all, err := s.segments.List()
	if err != nil {
		return err
	}
	for _, one := range all {
		// Once a segment is not the one that grows, every transaction that added to it has
		// ended: the next one was begun by a later transaction.
		if one.ID == s.segments.Active() {
			continue
		}
		var used int64
		err := s.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM blocks WHERE segment = $1 LIMIT 1) AS one`, one.ID).Scan(&used)
		if err != nil {
			return fmt.Errorf("look whether segment %d is in use: %w", one.ID, err)
		}
		if used == 0 {
			if err := s.segments.Remove(one.ID); err != nil {
				return err
			}
			continue
		}
		if err := s.empty(ctx, one.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// empty has the journals packed that keep a segment which is old enough.
func (s *Store) empty(ctx context.Context, id int64, now time.Time) error {
	info, err := os.Stat(s.segments.Path(id))
	if err != nil || now.Sub(info.ModTime()) < segmentRest {
		return nil //nolint:nilerr // removed meanwhile, which is as good
	}
	err = s.write(ctx, func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE attempts SET pack_at = $2 WHERE pack_at IS NULL AND (run_id, attempt) IN
			(SELECT DISTINCT run_id, attempt FROM blocks WHERE segment = $1 AND codec = 0 LIMIT $3)`, id, micros(now), tidyBatch)
		return err
	})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("have the journals in segment %d packed: %w", id, err)
	}
	return s.copyAgain(ctx, id, info.Size())
}
