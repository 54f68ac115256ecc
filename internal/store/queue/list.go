package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// waitingRow is an entry as it is listed.
type waitingRow struct {
	run, job, group, gate, held string
	definition                  string
	attempt                     int
	selector, weight, rank      int64
	queuedAt                    int64
	notBefore                   sql.NullInt64
}

const waitingColumns = `e.run_id, e.job, e.group_name, e.gate, e.held, e.definition, e.attempt, e.selector, e.weight, e.rank, e.queued_at, e.not_before FROM queue_entries e`

func scanWaiting(row db.Scanner) (w waitingRow, err error) {
	err = row.Scan(&w.run, &w.job, &w.group, &w.gate, &w.held, &w.definition, &w.attempt, &w.selector, &w.weight, &w.rank, &w.queuedAt, &w.notBefore)
	return w, err
}

// ListQueue returns a page of the queue, those first that have waited longest, with what each waits for.
func (s *Queue) ListQueue(ctx context.Context, q query.Queue) (job.QueuePage, error) {
	page := job.QueuePage{Runs: []job.QueuedRun{}}
	since, run, err := parseCursor(q.Cursor)
	if err != nil {
		return page, err
	}
	err = s.Reader.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM queue_entries), (SELECT COUNT(*) FROM queue_entries WHERE held <> '')`).Scan(&page.Queued, &page.Held)
	if err != nil {
		return page, fmt.Errorf("count the queue: %w", err)
	}
	statement, args := `SELECT `+waitingColumns+` WHERE (e.queued_at, e.run_id) > (CAST($1 AS BIGINT), $2)`, []any{since, run, q.Limit + 1}
	for _, filter := range []struct{ value, where string }{{q.Job, "e.job"}, {q.Group, "e.group_name"}} {
		if filter.value != "" {
			args = append(args, filter.value)
			statement += fmt.Sprintf(` AND %s = $%d`, filter.where, len(args))
		}
	}
	if q.Held {
		statement += ` AND e.held <> ''`
	}
	waiting, err := s.readWaiting(ctx, statement+` ORDER BY e.queued_at, e.run_id LIMIT $3`, args...)
	if err != nil {
		return page, err
	}
	if len(waiting) > q.Limit {
		waiting = waiting[:q.Limit]
		last := waiting[q.Limit-1]
		next := strconv.FormatInt(last.queuedAt, 10) + "." + last.run
		page.NextCursor = &next
	}
	x := s.explainer()
	for _, w := range waiting {
		one, err := x.explain(ctx, w)
		if errors.Is(err, sql.ErrNoRows) { // it was deleted meanwhile
			continue
		}
		if err != nil {
			return page, err
		}
		page.Runs = append(page.Runs, one)
	}
	return page, nil
}

func parseCursor(text string) (since int64, run string, err error) {
	if text == "" {
		return -1, "", nil
	}
	at, run, ok := strings.Cut(text, ".")
	since, err = strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || job.CheckRunID(run) != nil {
		return 0, "", &job.InvalidError{What: "cursor", Value: text, Why: "is not one that this server gave: begin again without it"}
	}
	return since, run, nil
}

func (s *Queue) readWaiting(ctx context.Context, statement string, args ...any) (all []waitingRow, err error) {
	rows, err := s.Reader.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		w, err := scanWaiting(rows)
		if err != nil {
			return nil, fmt.Errorf("list the queue: %w", err)
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// ExplainQueued returns what a run in the queue waits for; nil for a run that is not there.
func (s *Queue) ExplainQueued(ctx context.Context, run string) (*job.QueuedRun, error) {
	w, err := scanWaiting(s.Reader.QueryRowContext(ctx, `SELECT `+waitingColumns+` WHERE e.run_id = $1`, run))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the entry of run %s: %w", run, err)
	}
	one, err := s.explainer().explain(ctx, w)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &one, nil
}

// explain returns an entry with what it waits for.
func (x *explainer) explain(ctx context.Context, w waitingRow) (job.QueuedRun, error) {
	row, err := tables.ScanRun(x.Reader.QueryRowContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id = $1`, w.run))
	if err != nil {
		return job.QueuedRun{}, fmt.Errorf("read run %s: %w", w.run, err)
	}
	one := job.QueuedRun{
		Run: w.run, Job: w.job, Number: row.Run.Number, Attempt: w.attempt, State: row.Run.State,
		Since: db.FromMicros(w.queuedAt), Health: row.Run.Health, Priority: priorityOf(w.weight), Group: w.group, Gates: []job.Gate{},
	}
	if sub := row.Run.Submitted; sub != nil {
		one.By = sub.By
		if w.gate == Taken {
			one.Worker = sub.Worker
		}
	}
	if w.gate == Taken {
		return one, nil
	}
	facts, err := x.facts(ctx, w)
	if err != nil {
		return one, err
	}
	gates, start := rules.Explain(facts, x.Now())
	one.Gates, one.Ahead, one.StartsAbout = append(one.Gates, gates...), facts.Ahead, start
	return one, nil
}

func priorityOf(weight int64) job.Priority {
	for _, p := range []job.Priority{job.PriorityLow, job.PriorityHigh} {
		if p.Weight() == weight {
			return p
		}
	}
	return job.PriorityNormal
}

// selectorOf reads a selector.
func (x *explainer) selectorOf(ctx context.Context, id int64) (s rules.Selector, err error) {
	if s, known := x.selectors[id]; known {
		return s, nil
	}
	var text []byte
	err = x.Reader.QueryRowContext(ctx, `SELECT selector FROM queue_selectors WHERE id = $1`, id).Scan(&text)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read what runs of the queue require: %w", err)
	}
	x.selectors[id] = s
	return s, nil
}

// endsAbout estimates when an active run ends, from when it started and how long runs of its job take.
func endsAbout(started sql.NullInt64, usual time.Duration) *time.Time {
	if !started.Valid || usual == 0 {
		return nil
	}
	at := db.FromMicros(started.Int64).Add(usual)
	return &at
}
