package retention

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store/db"
)

// Preview is what retention would delete.
type Preview struct {
	Plan    *keep.Plan
	Tallies []keep.Tally
	// Waits has for how long a limit would wait.
	Waits map[keep.Setting]time.Duration
}

// Preview returns what a server would delete that is started with limits, and bytes as the limit of all journals. It changes nothing.
func (s *Retention) Preview(ctx context.Context, now time.Time, server keep.Limits, bytes int64, atOnce bool) (*Preview, error) {
	if err := s.readPolicies(ctx); err != nil {
		return nil, err
	}
	table, err := s.table(ctx)
	if err != nil {
		return nil, err
	}
	check := keep.Check{Now: now, Wanted: table.Wanted(server, s.jobsOf(table)), AtOnce: atOnce}
	if check.Counts, err = s.counts(ctx, now, table, check.Wanted); err != nil {
		return nil, err
	}
	out := &Preview{Plan: &keep.Plan{Now: now, Limits: check.Wanted, Bytes: bytes}, Waits: map[keep.Setting]time.Duration{}}
	change := table.Decide(check)
	for _, r := range change.Store {
		if limit, wanted := check.Wanted[r.Setting]; wanted && limit == r.Limit && !r.InForce {
			out.Waits[r.Setting] = r.Left()
		}
	}
	if err := s.Reader.QueryRowContext(ctx, `SELECT COALESCE(SUM(bytes), 0) FROM stored_bytes`).Scan(&out.Plan.Stored); err != nil {
		return nil, fmt.Errorf("count stored bytes: %w", err)
	}
	if err := s.addRuns(ctx, out.Plan); err != nil {
		return nil, err
	}
	out.Tallies = out.Plan.Finish()
	return out, nil
}

// addRuns adds all runs to a plan.
func (s *Retention) addRuns(ctx context.Context, p *keep.Plan) error {
	rows, err := s.Reader.QueryContext(ctx, `SELECT id, job, start_at, created_at, ended_at, reported_at, CASE WHEN state IN `+EndedStates+` THEN 1 ELSE 0 END,
			(SELECT COALESCE(SUM(COALESCE(stored, size)), 0) FROM blocks WHERE run_id = runs.id AND codec <> 2)
		FROM runs ORDER BY job, start_at DESC, id DESC`)
	if err != nil {
		return fmt.Errorf("read all runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var r keep.Run
		var start, created int64
		var ended, reported sql.NullInt64
		if err := rows.Scan(&r.ID, &r.Job, &start, &created, &ended, &reported, &r.Ended, &r.Bytes); err != nil {
			return fmt.Errorf("read all runs: %w", err)
		}
		r.StartAt, r.CreatedAt = db.FromMicros(start), db.FromMicros(created)
		if at := db.FromNullableMicros(ended); at != nil {
			r.EndedAt = *at
		}
		if at := db.FromNullableMicros(reported); at != nil {
			r.Reported = *at
		}
		p.Add(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read all runs: %w", err)
	}
	return nil
}
