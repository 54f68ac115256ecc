package runs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// eventIDsKey is the advisory lock for raising the ids of events ("StintE").
const eventIDsKey = 0x5374696e7445

const (
	// gapInterval is the interval between two checks whether transactions that record events have ended.
	gapInterval = 5 * time.Millisecond
	// lastEventTimeout limits the time for which LastEventID waits for them. They take milliseconds.
	lastEventTimeout = time.Second
)

// Events returns up to limit events after an id, in the order of their ids; of all runs if run is empty.
// Then it leaves out an event while one with a lower id may still be committed, so that a reader that
// continues after the last event that it got misses none.
func (s *Queries) Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error) {
	if run != "" || !s.Dialect.Postgres {
		return s.readEvents(ctx, run, after, limit)
	}
	for {
		final := s.finalEvents.get()
		events, err := s.readEvents(ctx, run, after, limit)
		if err != nil {
			return nil, err
		}
		n := withoutGap(events, max(after, final))
		if n > 0 && after <= final {
			s.finalEvents.raise(events[n-1].ID)
		}
		if n > 0 || len(events) == 0 {
			return events[:n], nil
		}
		if ended, err := s.endGaps(ctx, events[len(events)-1].ID); err != nil || !ended {
			return events[:0], err
		}
	}
}

func (s *Queries) readEvents(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error) {
	query, args := `SELECT id, run_id, attempt, at, clock, kind, from_value, to_value, rule, evidence FROM events WHERE id > $1`, []any{after, limit}
	if run != "" {
		query += ` AND run_id = $3`
		args = append(args, run)
	}
	rows, err := s.Reader.QueryContext(ctx, query+` ORDER BY id LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("read events after %d: %w", after, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	events := []job.RunEvent{}
	for rows.Next() {
		var e job.RunEvent
		var at int64
		if err := rows.Scan(&e.ID, &e.Run, &e.Attempt, &at, &e.Clock, &e.Kind, &e.From, &e.To, &e.Rule, &e.Evidence); err != nil {
			return nil, fmt.Errorf("read events after %d: %w", after, err)
		}
		e.At = db.FromMicros(at)
		e.ByPolicy = index.RequestedByPolicy(e.Evidence)
		e.SentenceTimes = job.TimesIn(e.At, e.Evidence)
		events = append(events, e)
	}
	return events, rows.Err()
}

// LastEventID returns the id of the newest event; 0 if there is none. Every event that is committed later
// has a higher id. With PostgreSQL it waits for the transactions that record events now; if one takes
// longer than lastEventTimeout, it returns the id of an earlier event.
func (s *Queries) LastEventID(ctx context.Context) (int64, error) {
	var waited time.Duration
	for {
		final := s.finalEvents.get()
		var id int64
		if err := s.Reader.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM events`).Scan(&id); err != nil {
			return 0, fmt.Errorf("read the last event: %w", err)
		}
		if !s.Dialect.Postgres || id <= final {
			return max(id, final), nil
		}
		ended, err := s.endGaps(ctx, id)
		if err != nil {
			return 0, err
		}
		if ended {
			continue
		}
		if waited >= lastEventTimeout && final > 0 {
			return final, nil
		}
		if waited >= lastEventTimeout {
			return 0, fmt.Errorf("find the last event: other transactions have recorded events for more than %v without an end: %w", lastEventTimeout, context.DeadlineExceeded)
		}
		if err := db.Sleep(ctx, gapInterval); err != nil {
			return 0, fmt.Errorf("wait for the transactions that record events: %w", err)
		}
		waited += gapInterval
	}
}

// KnowsEventID reports whether an event may have had an id, also before the database was restored from a
// backup.
func (s *Queries) KnowsEventID(ctx context.Context, id int64) (bool, error) {
	query := `SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'`
	if s.Dialect.Postgres {
		query = `SELECT last_value FROM events_id_seq`
	}
	var last int64
	if err := s.Reader.QueryRowContext(ctx, query).Scan(&last); err != nil {
		return false, fmt.Errorf("read the last id of an event: %w", err)
	}
	return id <= last, nil
}

// RaiseEventIDs makes the next ids of events higher than all ids before now, also those of a later state of
// the database that a backup has replaced: ids begin at the microseconds since 1970, and a server records
// less than one event in each microsecond.
func (s *Queries) RaiseEventIDs(ctx context.Context, now time.Time) error {
	queries := []string{
		`INSERT INTO sqlite_sequence (name, seq) SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')`,
		`UPDATE sqlite_sequence SET seq = max(seq, $1) WHERE name = 'events'`,
	}
	if s.Dialect.Postgres {
		// Another server may record events meanwhile, but not as many as a second has microseconds.
		queries = []string{
			fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(eventIDsKey)),
			`SELECT setval('events_id_seq', $1) FROM events_id_seq WHERE last_value < $1 - 1000000`,
		}
	}
	t, err := s.Writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("raise the ids of events: %w", err)
	}
	if _, err = t.ExecContext(ctx, queries[0]); err == nil {
		_, err = t.ExecContext(ctx, queries[1], db.Micros(now))
	}
	if err != nil {
		return fmt.Errorf("raise the ids of events: %w", errors.Join(err, t.Rollback()))
	}
	return t.Commit()
}

// finalEvents holds the id up to which the events of a PostgreSQL database are final: no event with a lower
// id will become visible. Transactions take the ids of their events before they commit, and commit in any
// order. A missing id belongs to a transaction that will commit, or to no event (it was rolled back, or
// its run was deleted).
type finalEvents struct {
	mu  sync.Mutex
	id  int64
	gap *eventGap // nil if there is none
}

// eventGap is a range of events with missing ids, and the transactions that may have them.
type eventGap struct {
	last    int64 // id of the last of the events
	writers map[string]bool
}

func (f *finalEvents) get() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id
}

func (f *finalEvents) raise(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id = max(f.id, id)
}

// withoutGap returns the number of first events before which no id is missing. Ids up to final are final.
func withoutGap(events []job.RunEvent, final int64) int {
	for i, e := range events {
		if e.ID > final+1 {
			return i
		}
		final = max(final, e.ID)
	}
	return len(events)
}

// endGaps raises the id up to which events are final to that of an event that was read, and returns true,
// once every transaction that was recording events at that time has ended: then a new read sees what they
// committed. Until then it returns false.
func (s *Queries) endGaps(ctx context.Context, last int64) (bool, error) {
	f := &s.finalEvents
	f.mu.Lock()
	defer f.mu.Unlock()
	writers, err := s.eventWriters(ctx)
	if err != nil {
		return false, err
	}
	if f.gap == nil {
		f.gap = &eventGap{last: last, writers: writers}
		if len(writers) > 0 {
			return false, nil
		}
	}
	for w := range writers {
		if f.gap.writers[w] {
			return false, nil
		}
	}
	f.id = max(f.id, f.gap.last)
	f.gap = nil
	return true, nil
}

// eventWriters returns the transactions that are recording events. Each holds a lock of the table until its
// events are visible, or rolled back.
func (s *Queries) eventWriters(ctx context.Context) (map[string]bool, error) {
	names, err := s.ReadTexts(ctx, `SELECT DISTINCT virtualtransaction FROM pg_locks
		WHERE locktype = 'relation' AND relation = 'events'::regclass AND mode = 'RowExclusiveLock'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		return nil, fmt.Errorf("list the transactions that record events: %w", err)
	}
	writers := make(map[string]bool, len(names))
	for _, name := range names {
		writers[name] = true
	}
	return writers, nil
}
