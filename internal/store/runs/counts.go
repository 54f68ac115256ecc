package runs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

const (
	// maxCount is the number of runs of one state up to which a count is exact.
	maxCount = 20_000
	// maxTextCount is the number of runs with a text up to which a count is exact.
	maxTextCount = 5_000
	// countTimeout limits a count without an index.
	countTimeout = 2 * time.Second
)

// RunCounts counts the runs that match a query by state and by health, each without the filter on it. Limit
// and Cursor are ignored.
func (s *Queries) RunCounts(ctx context.Context, q query.Runs) (query.RunCounts, error) {
	counts := query.RunCounts{State: map[job.State]int64{}, Health: map[job.Health]int64{}, Exact: true}
	bounded, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	err := s.countJudged(bounded, q, &counts, "runs_leased", "leased = 1")
	if err == nil {
		err = s.countJudged(bounded, q, &counts, "runs_waiting", "leased = 0 AND health <> ''")
	}
	if err == nil && len(q.Health) == 0 { // the others have no health
		err = s.countRest(bounded, q, &counts)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		counts.Exact, err = false, nil
	}
	if err != nil {
		return query.RunCounts{}, fmt.Errorf("count runs: %w", err)
	}
	return counts, nil
}

// countJudged counts the runs that have a health, of which there are few: the active ones, or those that wait and have a
// finding. Each have an index of their own.
func (s *Queries) countJudged(ctx context.Context, q query.Runs, counts *query.RunCounts, by, which string) error {
	others := q
	others.Health, others.Cursor = nil, ""
	conditions, args, err := runConditions(others)
	if err != nil {
		return err
	}
	conditions = append(conditions, which)
	rows, err := s.Reader.QueryContext(ctx, "SELECT state, health, COUNT(*) FROM "+s.Dialect.RunsIndexedBy(by)+where(conditions)+" GROUP BY state, health", args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var state job.State
		var health job.Health
		var n int64
		if err := rows.Scan(&state, &health, &n); err != nil {
			return err
		}
		ofState := len(q.States) == 0 || slices.Contains(q.States, state)
		ofHealth := len(q.Health) == 0 || slices.Contains(q.Health, health)
		if ofState {
			counts.Health[health] += n
		}
		if !state.Active() && len(q.Health) == 0 {
			continue // it is counted with the rest
		}
		if ofHealth {
			counts.State[state] += n
		}
		if ofState && ofHealth {
			counts.Total += n
		}
	}
	return rows.Err()
}

// countRest counts the runs that are not active: with the table of counts, off the index of
// texts, or state by state off another index.
func (s *Queries) countRest(ctx context.Context, q query.Runs, counts *query.RunCounts) error {
	q.Cursor = ""
	if q.Text == "" && q.Host == "" && len(q.Labels) == 0 && q.Since.IsZero() && q.Until.IsZero() {
		if q.Job == "" {
			return s.addCounts(ctx, q, counts, `SELECT state, SUM(n) FROM run_counts GROUP BY state`)
		}
		return s.addCounts(ctx, q, counts, `SELECT state, SUM(n) FROM run_counts WHERE job = $1 GROUP BY state`, index.Clean(q.Job))
	}
	others := q
	others.States = nil // each state is counted
	if _, _, ok := textMatch(s.Dialect, q.Text, 1); ok && onlyText(others) {
		return s.countTexts(ctx, q, counts)
	}
	conditions, args, err := runConditions(q)
	if err != nil {
		return err
	}
	for _, state := range job.States() {
		if state.Active() {
			continue
		}
		mine := append(slices.Clone(conditions), "state = $"+strconv.Itoa(len(args)+1))
		statement := "SELECT COUNT(*) FROM (SELECT 1 FROM runs" + where(mine) + " LIMIT " + strconv.Itoa(maxCount+1) + ") AS few"
		var n int64
		if err := s.Reader.QueryRowContext(ctx, statement, append(slices.Clone(args), string(state))...).Scan(&n); err != nil {
			return err
		}
		if n > maxCount {
			n, counts.Exact = maxCount, false
		}
		if n == 0 {
			continue
		}
		counts.State[state] = n
		if len(q.States) == 0 || slices.Contains(q.States, state) {
			counts.Total += n
		}
	}
	return nil
}

// addCounts adds the counts by state of a query, for the states that are not active.
func (s *Queries) addCounts(ctx context.Context, q query.Runs, counts *query.RunCounts, query string, args ...any) error {
	rows, err := s.Reader.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var state job.State
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		if n == 0 || state.Active() {
			continue
		}
		counts.State[state] += n
		if len(q.States) == 0 || slices.Contains(q.States, state) {
			counts.Total += n
		}
	}
	return rows.Err()
}

// LiveAgents returns the active attempts with their last heartbeats.
func (s *Queries) LiveAgents(ctx context.Context) ([]lease.LiveAgent, error) {
	if err := s.FlushHeartbeats(ctx); err != nil {
		return nil, fmt.Errorf("read live agents: %w", err)
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT id, host, beat_at, beat FROM runs WHERE leased = 1`)
	if err != nil {
		return nil, fmt.Errorf("read live agents: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []lease.LiveAgent
	for rows.Next() {
		var a lease.LiveAgent
		var at sql.NullInt64
		var beat []byte
		if err := rows.Scan(&a.Run, &a.Host, &at, &beat); err != nil {
			return nil, fmt.Errorf("read live agents: %w", err)
		}
		if len(beat) > 0 && at.Valid {
			if json.Unmarshal(beat, &a.Beat) != nil {
				continue // the monitor records the run as a troubled item
			}
			a.BeatAt = db.FromMicros(at.Int64)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}
