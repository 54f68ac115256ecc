package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
)

// Figures returns the figures of the store for metrics. It reads only indexes.
func (s *Health) Figures(ctx context.Context, now time.Time) (query.Figures, error) {
	var f query.Figures
	rows, err := s.Reader.QueryContext(ctx, `SELECT state, health, COUNT(*) FROM runs WHERE leased = 1 GROUP BY state, health`)
	if err != nil {
		return f, fmt.Errorf("count active runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var c query.ActiveCount
		if err := rows.Scan(&c.State, &c.Health, &c.Runs); err != nil {
			return f, fmt.Errorf("count active runs: %w", err)
		}
		f.Active = append(f.Active, c)
	}
	if err := rows.Err(); err != nil {
		return f, fmt.Errorf("count active runs: %w", err)
	}
	var oldest int64
	// A row that is not due yet, such as a repetition, does not count.
	err = s.Reader.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(CASE WHEN tries > 0 OR next_at <= $1 THEN created_at END), 0)
		FROM outbox WHERE status = 'pending'`, db.Micros(now)).Scan(&f.OutboxPending, &oldest)
	if err != nil {
		return f, fmt.Errorf("count the outbox: %w", err)
	}
	if oldest > 0 {
		f.OutboxOldest = max(0, now.Sub(db.FromMicros(oldest)))
	}
	if f.Queue, err = s.queueCounts(ctx, now); err != nil {
		return f, err
	}
	if f.QueueOfJobs, err = s.jobQueueCounts(ctx, now); err != nil {
		return f, err
	}
	if s.submissions != nil {
		f.ClaimsReleased, f.ClaimsOverdue = s.submissions.EndedClaims()
	}
	pools := s.Writer.Stats()
	f.DatabaseConnections, f.DatabaseInUse, f.DatabaseWaits = pools.OpenConnections, pools.InUse, pools.WaitDuration
	if s.Reader != s.Writer {
		read := s.Reader.Stats()
		f.DatabaseConnections += read.OpenConnections
		f.DatabaseInUse += read.InUse
		f.DatabaseWaits += read.WaitDuration
	}
	f.ItemFailures = s.ItemFailures()
	f.Troubled, err = s.CountTroubled(ctx)
	return f, err
}

// queueCounts counts the runs in the queue.
func (s *Health) queueCounts(ctx context.Context, now time.Time) ([]query.QueueCount, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT gate, COUNT(*), MIN(queued_at) FROM queue_entries GROUP BY gate`)
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []query.QueueCount
	for rows.Next() {
		var c query.QueueCount
		var oldest int64
		if err := rows.Scan(&c.Gate, &c.Runs, &oldest); err != nil {
			return nil, fmt.Errorf("count the queue: %w", err)
		}
		c.Oldest = max(0, now.Sub(db.FromMicros(oldest)))
		all = append(all, c)
	}
	return all, rows.Err()
}

// mostQueueJobs bounds how many jobs have figures of their own in the queue.
const mostQueueJobs = 20

// jobQueueCounts counts the runs in the queue of the jobs that have the most.
func (s *Health) jobQueueCounts(ctx context.Context, now time.Time) ([]query.JobQueueCount, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT job, COUNT(*), MIN(queued_at) FROM queue_entries GROUP BY job ORDER BY COUNT(*) DESC, job LIMIT $1`, mostQueueJobs)
	if err != nil {
		return nil, fmt.Errorf("count the queue by jobs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []query.JobQueueCount
	for rows.Next() {
		var c query.JobQueueCount
		var oldest int64
		if err := rows.Scan(&c.Job, &c.Runs, &oldest); err != nil {
			return nil, fmt.Errorf("count the queue by jobs: %w", err)
		}
		c.Oldest = max(0, now.Sub(db.FromMicros(oldest)))
		all = append(all, c)
	}
	return all, rows.Err()
}
