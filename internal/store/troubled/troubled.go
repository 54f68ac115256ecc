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
	Evidence = "evidence"   // what heartbeats and connections say of a run cannot be stored
	Diagnose = "diagnose"   // a run that ended badly cannot be diagnosed
	Trim     = "trim"       // the middle of a long journal cannot be dropped
	Pack     = "pack"       // a journal cannot be packed
	Remove   = "delete_run" // a run that is not to be kept cannot be deleted
	Object   = "delete_object"
	Segment  = "segment"    // a file of journal bytes cannot be emptied or removed
	Action   = "action"     // a cancel or a retry cannot be followed
	Notify   = "notify"     // it cannot be found out who is notified
	Route    = "route"      // a stored route of notifications, or its secrets, cannot be read
	Policy   = "policy"     // the stored policy of a job cannot be read
	Text     = "index_text" // a run cannot be made searchable
	// SecretKey: a server, by the name of its host, lacks the key of the routes' secrets.
	SecretKey = "secret_key"
)

// kinds are all of them: metrics show also those without an item.
var kinds = []string{
	Run, Attempt, Lease, Judge, Evidence, Diagnose, Trim, Pack, Remove, Object,
	Segment, Action, Notify, Route, Policy, Text, SecretKey,
}

// noCounts is a count of 0 for each kind.
func noCounts() map[string]int64 {
	counts := make(map[string]int64, len(kinds))
	for _, kind := range kinds {
		counts[kind] = 0
	}
	return counts
}

// Items are the troubled items as this process knows them. The table has them for the
// page, for other servers and for the next start.
type Items struct {
	*db.DB
	mu       sync.Mutex
	known    map[itemKey]job.TroubledItem
	failures map[string]int64 // by kind, since the start
}

type itemKey struct{ kind, id string }

// New makes the items of a database. None is known before Refresh.
func New(d *db.DB) *Items {
	return &Items{DB: d, known: map[itemKey]job.TroubledItem{}, failures: map[string]int64{}}
}

// Failed writes down that something could not be done for an item, which is not to be tried
// again before a pause has passed. While the item rests it changes nothing. That it cannot
// be written down is no reason to stop: this process knows it.
func (s *Items) RecordFailure(ctx context.Context, kind, id string, cause error) {
	now := s.Now()
	s.mu.Lock()
	key := itemKey{kind, id}
	item, known := s.known[key]
	if known && isPausedAt(item.NextAt, now) {
		s.mu.Unlock()
		return
	}
	if !known {
		item = job.TroubledItem{Kind: kind, ID: id, SinceAt: now}
	}
	item.Error, item.Tries, item.LastAt = index.Text(cause.Error(), 1000), item.Tries+1, now
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
		s.Log.Error("a troubled item cannot be written down", "kind", kind, "id", id, "error", err)
	}
}

// Done forgets the trouble of an item, if it had one.
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
		s.Log.Error("the trouble of an item is over, and cannot be deleted", "kind", kind, "id", id, "error", err)
	}
}

// isPausedAt reports whether an item that is to be tried again at next rests now. A next that is
// further away than any pause was written while the clock was ahead.
func isPausedAt(next, now time.Time) bool {
	return now.Before(next) && next.Sub(now) <= job.LongestTroublePause
}

// Resting reports whether an item failed and is not to be tried yet.
func (s *Items) IsPaused(kind, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, known := s.known[itemKey{kind, id}]
	return known && isPausedAt(item.NextAt, s.Now())
}

// Rests is the condition of a query that leaves out what rests, as isPausedAt says: its arguments
// are the expression that is the item's id and the number of the argument that holds the time.
func NotPaused(kind, id string, now int) string {
	return fmt.Sprintf(` NOT EXISTS (SELECT 1 FROM troubled WHERE troubled.kind = '%s' AND troubled.id = %s
		AND troubled.next_at > $%d AND troubled.next_at - %d <= $%[3]d)`, kind, id, now, job.LongestTroublePause.Microseconds())
}

// Skip records that something could not be done for an item, so that the caller goes on with
// the next one. Its error says that the caller is not to: the database is away, or ctx ended.
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

// Unreadable records the runs whose rows could not be read.
func (s *Items) RecordUnreadable(ctx context.Context, kind string, rows []*query.UnreadableError) {
	for _, one := range rows {
		s.RecordFailure(ctx, kind, one.Run.ID, one)
	}
}

// staleAfter is how long after its next try an item is forgotten that nobody tried again:
// it is gone, or it succeeded on another server.
const staleAfter = 15 * time.Minute

// staleCondition is the condition on items that are forgotten: those whose next try is long over,
// and what could not be done for the judging of a run that is not judged any more.
const staleCondition = `next_at < $1 OR kind IN ('` + Judge + `', '` + Evidence + `', '` + Lease + `')
	AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = troubled.id AND runs.leased = 1)`

// Refresh reads what other servers wrote down, and forgets what nobody tries any more.
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
		return fmt.Errorf("forget items that are in trouble no more: %w", err)
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
	for key, item := range s.known { // what could not be written down
		if one, there := known[key]; !there && isPausedAt(item.NextAt, s.Now()) || there && one.Tries < item.Tries {
			known[key] = item
		}
	}
	s.known = known
	return nil
}

// maxTroubled bounds the items that a process keeps in memory.
const maxTroubled = 10_000

// Troubled returns up to limit items that could not be done and are tried again later, those
// that failed last first.
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

// ItemFailures counts, by kind, how often something could not be done for an item since this
// process began.
func (s *Items) ItemFailures() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := noCounts()
	maps.Copy(counts, s.failures)
	return counts
}

// maxFailuresInRow is how many single items in a row may fail before the rest is given up: then
// it is the database, not one of them.
const maxFailuresInRow = 50

// Isolate does something for items in one transaction. When that fails, it finds those that
// fail by themselves and does it for the others: bad is called for each of them. Its error is
// one of the database.
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
	var row []failure // that failed one after the other
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

// ByRun sorts what is about runs, so that several servers take locks in one order.
func ByRun[T any](items []T, run func(T) string) []T {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b T) int { return strings.Compare(run(a), run(b)) })
	return items
}
