package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// usualRuns is how many of a job's last good runs make what is usual for it.
const usualRuns = 20

// Jobs returns every job in the order of names.
func (s *Store) Jobs(ctx context.Context) ([]job.Summary, error) { return s.summaries(ctx, "") }

// Job returns one job.
func (s *Store) Job(ctx context.Context, name string) (job.Summary, error) {
	missing := &index.NotFoundError{What: "job " + job.Quote(name)}
	if job.CheckName(name) != nil {
		return job.Summary{}, missing
	}
	found, err := s.summaries(ctx, name)
	if err != nil {
		return job.Summary{}, err
	}
	if len(found) == 0 {
		return job.Summary{}, missing
	}
	return found[0], nil
}

// summaries counts runs by job and state, and adds what the last runs show.
func (s *Store) summaries(ctx context.Context, name string) ([]job.Summary, error) {
	found, err := s.countRuns(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("count the runs of jobs: %w", err)
	}
	for i := range found {
		if err := s.describe(ctx, &found[i]); err != nil {
			return nil, fmt.Errorf("read job %s: %w", found[i].Name, err)
		}
	}
	return found, nil
}

func (s *Store) countRuns(ctx context.Context, name string) ([]job.Summary, error) {
	query, args := `SELECT job, state, COUNT(*) FROM runs`, []any{}
	if name != "" {
		query, args = query+` WHERE job = $1`, []any{name}
	}
	rows, err := s.reader.QueryContext(ctx, query+` GROUP BY job, state ORDER BY job, state`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below tells of any error
	found := []job.Summary{}
	for rows.Next() {
		var of, state string
		var count int64
		if err := rows.Scan(&of, &state, &count); err != nil {
			return nil, err
		}
		if len(found) == 0 || found[len(found)-1].Name != of {
			found = append(found, job.Summary{Name: of})
		}
		sum := &found[len(found)-1]
		sum.Runs += count
		switch st := job.State(state); {
		case st == job.Succeeded:
			sum.Succeeded += count
		case !st.Terminal():
			sum.Active += count
		}
	}
	return found, rows.Err()
}

// describe adds a job's last run and what is usual for it.
func (s *Store) describe(ctx context.Context, sum *job.Summary) error {
	row, err := scanRun(s.reader.QueryRowContext(ctx, `SELECT `+runColumns+` FROM runs WHERE job = $1 ORDER BY number DESC LIMIT 1`, sum.Name))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err == nil {
		sum.LastRun = &row.run
	}
	rows, err := s.reader.QueryContext(ctx, `SELECT started_at, ended_at, peak_memory FROM runs
		WHERE job = $1 AND state = 'succeeded' AND started_at IS NOT NULL AND ended_at IS NOT NULL
		ORDER BY created_at DESC, id DESC LIMIT $2`, sum.Name, usualRuns)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below tells of any error
	var durations []float64
	var peaks []int64
	for rows.Next() {
		var started, ended, peak int64
		if err := rows.Scan(&started, &ended, &peak); err != nil {
			return err
		}
		durations = append(durations, max(time.Duration(ended-started)*time.Microsecond, 0).Seconds())
		peaks = append(peaks, peak)
		if at := fromMicros(ended); sum.LastSuccessAt == nil || at.After(*sum.LastSuccessAt) {
			sum.LastSuccessAt = &at
		}
	}
	sum.Usual = usual(durations, peaks)
	return rows.Err()
}

// usual is the band that good runs make; nil for none.
func usual(durations []float64, peaks []int64) *job.Usual {
	if len(durations) == 0 {
		return nil
	}
	slices.Sort(durations)
	slices.Sort(peaks)
	return &job.Usual{
		Runs:               len(durations),
		DurationP50Seconds: percentile(durations, 50), DurationP95Seconds: percentile(durations, 95),
		PeakMemoryP50Bytes: percentile(peaks, 50), PeakMemoryP95Bytes: percentile(peaks, 95),
	}
}

// percentile is the nearest-rank percentile of sorted values, of which there is one.
func percentile[T any](sorted []T, p int) T {
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
