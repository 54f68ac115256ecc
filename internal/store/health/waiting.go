package health

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

const waitingColumns = `e.run_id, e.job, r.attempt, r.state, r.health, e.gate, e.waits_since, e.start_by, e.group_name, e.selector, e.queued_at,
	EXISTS (SELECT 1 FROM occurrences o WHERE o.run_id = e.run_id), CASE WHEN r.health <> '' THEN r.doc END`

// What is selected of the runs in the queue: a page of them in the order in which they were queued, those that have a
// finding, one of them, and when the last of the active runs of each job started.
const (
	waitingPage = `SELECT ` + waitingColumns + ` FROM queue_entries e JOIN runs r ON r.id = e.run_id
		WHERE (e.queued_at, e.run_id) > (CAST($1 AS BIGINT), $2) ORDER BY e.queued_at, e.run_id LIMIT $3`
	waitingFound = `SELECT ` + waitingColumns + ` FROM (SELECT id FROM runs WHERE leased = 0 AND health <> '' LIMIT $1) AS found
		JOIN runs r ON r.id = found.id JOIN queue_entries e ON e.run_id = r.id`
	waitingOne  = `SELECT ` + waitingColumns + ` FROM queue_entries e JOIN runs r ON r.id = e.run_id WHERE e.run_id = $1`
	lastStarted = `SELECT r.job, MAX(p.at) FROM permits p CROSS JOIN runs r
		WHERE p.active = 1 AND r.id = p.run_id AND r.attempt = p.attempt AND r.leased = 1 GROUP BY r.job`
)

// Waiting returns a page of the runs in the queue, those first that were queued first, and the cursor of the next page;
// empty if there are no more. after is the cursor of the page, "" for the first one.
func (s *Health) Waiting(ctx context.Context, after string, limit int, now time.Time) (page []queue.WaitingRun, last string, err error) {
	at, run := int64(-1), ""
	if text, id, ok := strings.Cut(after, "."); ok {
		run = id
		if at, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, "", fmt.Errorf("read the runs that wait after %q: %w", after, err)
		}
	}
	page, last, err = s.waiting(ctx, now, waitingPage, at, run, limit)
	if len(page) < limit {
		last = ""
	}
	return page, last, err
}

// FoundWaiting returns the runs in the queue that have a finding, at most limit.
func (s *Health) FoundWaiting(ctx context.Context, limit int, now time.Time) ([]queue.WaitingRun, error) {
	found, _, err := s.waiting(ctx, now, waitingFound, limit)
	return found, err
}

// WaitingRun returns a run in the queue; nil for one that is not there.
func (s *Health) WaitingRun(ctx context.Context, run string, now time.Time) (*queue.WaitingRun, error) {
	found, _, err := s.waiting(ctx, now, waitingOne, run)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// waiting reads runs in the queue with what they are judged by. last is the cursor after the last of them. A run whose
// document cannot be read has no findings.
func (s *Health) waiting(ctx context.Context, now time.Time, query string, args ...any) (all []queue.WaitingRun, last string, err error) {
	if s.submissions == nil {
		return nil, "", nil
	}
	if all, last, err = s.readWaiting(ctx, query, args...); err != nil || len(all) == 0 {
		return nil, "", err
	}
	workers, err := s.submissions.KnownWorkers(ctx)
	if err != nil {
		return nil, "", err
	}
	started, err := s.lastStarted(ctx)
	if err != nil {
		return nil, "", err
	}
	selectors := map[int64]queue.Selector{}
	for i := range all {
		w := &all[i]
		if w.Since.IsZero() {
			continue // it is not judged by what follows
		}
		w.JobStarted = started[w.Job]
		var known bool
		if w.Selector, known = selectors[w.Line.Selector]; !known {
			if w.Selector, err = s.selector(ctx, w.Line.Selector); err != nil {
				return nil, "", err
			}
			selectors[w.Line.Selector] = w.Selector
		}
		w.SetWorkers(workers, now)
	}
	return all, last, nil
}

func (s *Health) readWaiting(ctx context.Context, query string, args ...any) (all []queue.WaitingRun, last string, err error) {
	rows, err := s.Reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("read the runs that wait: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var w queue.WaitingRun
		var since, startBy sql.NullInt64
		var queuedAt int64
		var doc []byte
		err := rows.Scan(&w.Run, &w.Job, &w.Attempt, &w.State, &w.Health, &w.Gate, &since, &startBy, &w.Line.Group, &w.Line.Selector, &queuedAt, &w.Occurrence, &doc)
		if err != nil {
			return nil, "", fmt.Errorf("read the runs that wait: %w", err)
		}
		if since.Valid {
			w.Since = db.FromMicros(since.Int64)
		}
		w.Line.Job, w.StartBy = w.Job, db.FromNullableMicros(startBy)
		var found struct {
			Findings []job.Finding `json:"findings"`
		}
		if len(doc) > 0 && json.Unmarshal(doc, &found) == nil {
			w.Findings = found.Findings
		}
		all, last = append(all, w), strconv.FormatInt(queuedAt, 10)+"."+w.Run
	}
	return all, last, rows.Err()
}

// selector reads what runs ask of a worker; zero if no run does any more.
func (s *Health) selector(ctx context.Context, id int64) (of queue.Selector, err error) {
	var text []byte
	err = s.Reader.QueryRowContext(ctx, `SELECT selector FROM queue_selectors WHERE id = $1`, id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return of, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &of)
	}
	if err != nil {
		return of, fmt.Errorf("read what runs of the queue require: %w", err)
	}
	return of, nil
}

// lastStarted returns when the last of the active runs of each job started.
func (s *Health) lastStarted(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.Reader.QueryContext(ctx, lastStarted)
	if err != nil {
		return nil, fmt.Errorf("read when jobs started last: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	started := map[string]time.Time{}
	for rows.Next() {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, fmt.Errorf("read when jobs started last: %w", err)
		}
		started[name] = db.FromMicros(at)
	}
	return started, rows.Err()
}
