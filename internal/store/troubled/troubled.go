package troubled

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// Kinds of troubled items.
const (
	Run      = "read_run" // the stored document of a run cannot be read
	Attempt  = "read_attempt"
	Lease    = "read_lease" // what the judgement of a run needs cannot be read
	Judge    = "judge"      // the verdict on a run cannot be stored
	Evidence = "evidence"   // evidence of heartbeats or a closed connection cannot be stored
	Diagnose = "diagnose"   // a run that ended badly cannot be diagnosed
	Trim     = "trim"       // the middle of a long journal cannot be dropped
	Pack     = "pack"       // a journal cannot be packed
	Remove   = "delete_run" // retention cannot delete a run
	Object   = "delete_object"
	Segment  = "segment"    // a file of journal bytes cannot be emptied or removed
	Action   = "action"     // a cancel or a retry failed
	Notify   = "notify"     // the routes of a notification cannot be determined
	Route    = "route"      // a stored route of notifications, or its secrets, cannot be read
	Policy   = "policy"     // the stored policy of a job cannot be read
	Text     = "index_text" // a run cannot be made searchable
	Due      = "due"        // it cannot be decided whether a job has started when it was due
	Schedule = "schedule"   // a schedule cannot be read, or nothing can be started by it
	// SecretKey: a server, by the name of its host, lacks the key of the routes' secrets.
	SecretKey = "secret_key"
	// Clock: the clock of a server, by the name of its host, was set.
	Clock = "clock"
)

// kinds are all kinds. Metrics show also those without an item.
var kinds = []string{
	Run, Attempt, Lease, Judge, Evidence, Diagnose, Trim, Pack, Remove, Object,
	Segment, Action, Notify, Route, Policy, Text, Due, Schedule, SecretKey, Clock,
}

// noCounts returns a zero count for each kind.
func noCounts() map[string]int64 {
	counts := make(map[string]int64, len(kinds))
	for _, kind := range kinds {
		counts[kind] = 0
	}
	return counts
}

// Items caches the troubled items of this process. The table has them for the page, for other servers and
// for the next start.
type Items struct {
	*db.DB
	mu       sync.Mutex
	known    map[itemKey]job.TroubledItem
	failures map[string]int64 // by kind, since the start
}

type itemKey struct{ kind, id string }

// New returns the items of a database. It has none before Refresh.
func New(d *db.DB) *Items {
	return &Items{DB: d, known: map[itemKey]job.TroubledItem{}, failures: map[string]int64{}}
}

// RecordFailure records that the processing of an item failed, which is not to be tried again before a
// pause has passed. While the item is paused it changes nothing. If the record cannot be stored, this
// process still has it.
func (s *Items) RecordFailure(ctx context.Context, kind, id string, cause error) {
	now := s.Now()
	s.mu.Lock()
	key := itemKey{kind, id}
	item, known := s.known[key]
	if known && isPaused(item, now) {
		s.mu.Unlock()
		return
	}
	if !known {
		item = job.TroubledItem{Kind: kind, ID: id, SinceAt: now}
	}
	item.Error, item.Tries, item.LastAt = index.CleanText(cause.Error(), 1000), item.Tries+1, now
	item.NextAt = now.Add(job.TroublePause(item.Tries))
	s.known[key] = item
	s.failures[kind]++
	s.mu.Unlock()

	s.Log.Warn("an item is skipped and tried again later", "kind", kind, "id", id, "error", cause, "tries", item.Tries, "next", item.NextAt)
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO troubled (kind, id, error, tries, since_at, last_at, next_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (kind, id) DO UPDATE SET error = excluded.error, tries = excluded.tries, last_at = excluded.last_at, next_at = excluded.next_at`,
			kind, id, item.Error, item.Tries, db.Micros(item.SinceAt), db.Micros(item.LastAt), db.Micros(item.NextAt))
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.Log.Error("a troubled item cannot be stored", "kind", kind, "id", id, "error", err)
	}
}

// ClearFailure removes the record of an item, if there is one.
func (s *Items) ClearFailure(ctx context.Context, kind, id string) {
	key := itemKey{kind, id}
	s.mu.Lock()
	_, known := s.known[key]
	delete(s.known, key)
	s.mu.Unlock()
	if !known {
		return
	}
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `DELETE FROM troubled WHERE kind = $1 AND id = $2`, kind, id)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.Log.Error("the record of a troubled item that is processed again cannot be deleted", "kind", kind, "id", id, "error", err)
	}
}

// isPaused reports whether an item is not to be tried yet. One that failed at a time that has not come failed while
// the clock was ahead.
func isPaused(item job.TroubledItem, now time.Time) bool {
	return now.Before(item.NextAt) && !item.LastAt.After(clock.LatestNow(now))
}

// IsPaused reports whether an item failed and is not to be tried yet.
func (s *Items) IsPaused(kind, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, known := s.known[itemKey{kind, id}]
	return known && isPaused(item, s.Now())
}

// NotPaused returns a condition of a query that excludes paused items, as isPaused does. id is the
// expression of the item's id, and now the number of the argument that holds the time.
func NotPaused(kind, id string, now int) string {
	return fmt.Sprintf(` NOT EXISTS (SELECT 1 FROM troubled WHERE troubled.kind = '%s' AND troubled.id = %s
		AND troubled.next_at > $%d AND troubled.last_at - %d <= $%[3]d)`, kind, id, now, clock.Difference.Microseconds())
}

// Skip records that the processing of an item failed, so that the caller can go on with the next one. It
// returns an error if the caller should stop: the database does not answer, or ctx has ended.
func (s *Items) Skip(ctx context.Context, kind, id string, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	if err := s.Ping(ctx); err != nil {
		return errors.Join(cause, err)
	}
	s.RecordFailure(ctx, kind, id, cause)
	return nil
}

// RecordUnreadable records the runs whose rows could not be read.
func (s *Items) RecordUnreadable(ctx context.Context, kind string, rows []*query.UnreadableError) {
	for _, one := range rows {
		s.RecordFailure(ctx, kind, one.Run.ID, one)
	}
}

// staleAfter is the time after its next try at which the record of an item is deleted that nobody tried
// again: the item was deleted, or another server processed it.
const staleAfter = 15 * time.Minute

// staleCondition is the condition on records that are deleted: those whose next try was long ago,
// and those about the judgement of a run that is not active any more.
const staleCondition = `next_at < $1 OR kind IN ('` + Judge + `', '` + Evidence + `', '` + Lease + `')
	AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = troubled.id AND runs.leased = 1)`

// Refresh reads the records of other servers, and deletes stale ones.
func (s *Items) Refresh(ctx context.Context) error {
	stale := db.Micros(s.Now().Add(-staleAfter))
	var n int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM troubled WHERE `+staleCondition+` LIMIT 1) AS stale`, stale).Scan(&n)
	if err == nil && n > 0 {
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			_, err := t.ExecContext(ctx, `DELETE FROM troubled WHERE `+staleCondition, stale)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("delete stale troubled items: %w", err)
	}
	all, err := s.Troubled(ctx, maxTroubled)
	if err != nil {
		return err
	}
	known := make(map[itemKey]job.TroubledItem, len(all))
	for _, item := range all {
		known[itemKey{item.Kind, item.ID}] = item
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, item := range s.known { // records that could not be stored
		if one, there := known[key]; !there && isPaused(item, s.Now()) || there && one.Tries < item.Tries {
			known[key] = item
		}
	}
	s.known = known
	return nil
}

// maxTroubled limits the items that a process holds in memory.
const maxTroubled = 10_000

// Troubled returns up to limit troubled items, those that failed last first.
func (s *Items) Troubled(ctx context.Context, limit int) ([]job.TroubledItem, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT kind, id, error, tries, since_at, last_at, next_at FROM troubled ORDER BY last_at DESC, kind, id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("read troubled items: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	items := []job.TroubledItem{}
	for rows.Next() {
		var item job.TroubledItem
		var since, last, next int64
		if err := rows.Scan(&item.Kind, &item.ID, &item.Error, &item.Tries, &since, &last, &next); err != nil {
			return nil, fmt.Errorf("read troubled items: %w", err)
		}
		item.SinceAt, item.LastAt, item.NextAt = db.FromMicros(since), db.FromMicros(last), db.FromMicros(next)
		items = append(items, item)
	}
	return items, rows.Err()
}

// CountTroubled counts the troubled items by kind.
func (s *Items) CountTroubled(ctx context.Context) (map[string]int64, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT kind, COUNT(*) FROM troubled GROUP BY kind`)
	if err != nil {
		return nil, fmt.Errorf("count troubled items: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	counts := noCounts()
	for rows.Next() {
		var kind string
		var n int64
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, fmt.Errorf("count troubled items: %w", err)
		}
		counts[kind] = n
	}
	return counts, rows.Err()
}

// ItemFailures returns the number of failures since the start of this process, by kind.
func (s *Items) ItemFailures() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := noCounts()
	maps.Copy(counts, s.failures)
	return counts
}

// maxFailuresInRow is the number of single items in a row that may fail: if more fail, the cause is the
// database.
const maxFailuresInRow = 50

// Isolate calls do for items, which processes them in one transaction. If that fails, it finds the items
// that fail by themselves, processes the others, and calls bad for each that failed. Its error is one of
// the database.
func Isolate[T any](ctx context.Context, s *db.DB, items []T, do func([]T) error, bad func(T, error)) error {
	err := do(items)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if perr := s.Ping(ctx); perr != nil {
		return errors.Join(err, perr)
	}
	type failure struct {
		Item T
		Err  error
	}
	var row []failure // items that failed one after the other
	worked := false
	var split func(items []T, err error) error
	split = func(items []T, err error) error {
		if len(items) == 1 {
			row = append(row, failure{Item: items[0], Err: err})
			if !worked && len(row) >= maxFailuresInRow {
				return err
			}
			return nil
		}
		for _, half := range [][]T{items[:len(items)/2], items[len(items)/2:]} {
			if len(half) == 0 {
				continue
			}
			err := do(half)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				worked = true
			} else if err := split(half, err); err != nil {
				return err
			}
		}
		return nil
	}
	if err := split(items, err); err != nil {
		return err
	}
	for _, one := range row {
		bad(one.Item, one.Err)
	}
	return nil
}

// ByRun returns items sorted by run, so that all servers lock rows in the same order.
func ByRun[T any](items []T, run func(T) string) []T {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b T) int { return strings.Compare(run(a), run(b)) })
	return items
}
