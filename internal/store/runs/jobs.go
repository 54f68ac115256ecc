package runs

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/jobnames"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// maxUsualRuns is the number of last good runs that make what is usual for a job.
const maxUsualRuns = 20

// Jobs returns a page of jobs in the order of names. Their last runs have only what lists show.
func (s *Queries) Jobs(ctx context.Context, q query.Jobs) (query.JobPage, error) {
	listed, err := jobnames.Read(ctx, s.DB, q)
	if err != nil {
		return query.JobPage{}, err
	}
	page := query.JobPage{Jobs: []api.Summary{}, Cursor: listed.Cursor}
	for _, span := range listed.Spans {
		found, err := s.summaries(ctx, span.First, span.Last)
		if err != nil {
			return query.JobPage{}, err
		}
		for _, sum := range found {
			if _, ok := slices.BinarySearch(listed.Names, sum.Name); ok {
				sum.LastRun = query.ListedRun(sum.LastRun)
				page.Jobs = append(page.Jobs, sum)
			}
		}
	}
	return page, nil
}

// Job returns one job.
func (s *Queries) Job(ctx context.Context, name string) (api.Summary, error) {
	missing := &query.NotFoundError{What: "job " + job.Quote(name)}
	if job.CheckName(name) != nil {
		return api.Summary{}, missing
	}
	found, err := s.summaries(ctx, name, name)
	if err != nil {
		return api.Summary{}, err
	}
	if len(found) == 0 {
		return api.Summary{}, missing
	}
	return found[0], nil
}

// summaries returns the counts, the last run and the usual figures of each job of a range of names.
func (s *Queries) summaries(ctx context.Context, first, last string) ([]api.Summary, error) {
	found, err := s.countRuns(ctx, first, last)
	if err != nil {
		return nil, fmt.Errorf("count the runs of jobs: %w", err)
	}
	byName := make(map[string]*api.Summary, len(found))
	for i := range found {
		byName[found[i].Name] = &found[i]
	}
	if err := s.lastRuns(ctx, first, last, byName); err != nil {
		return nil, fmt.Errorf("read the last runs of jobs: %w", err)
	}
	if err := s.usualRuns(ctx, first, last, byName); err != nil {
		return nil, fmt.Errorf("read the last good runs of jobs: %w", err)
	}
	if found, err = s.addDue(ctx, first, last, found); err != nil {
		return nil, err
	}
	if found, err = s.addStarts(ctx, first, last, found); err != nil {
		return nil, err
	}
	return s.addFindings(ctx, first, last, found)
}

// ofJobs is the condition of queries about a range of jobs.
const ofJobs = ` j.name >= $1 AND j.name <= $2`

func (s *Queries) countRuns(ctx context.Context, first, last string) ([]api.Summary, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT job, state, SUM(n) FROM run_counts WHERE job >= $1 AND job <= $2
		GROUP BY job, state ORDER BY job, state`, first, last)
	if err != nil {
		return nil, err
	}
	return sumCounts(rows)
}

// sumCounts reads counts of runs by job and state, in the order of jobs, and closes the query.
func sumCounts(rows *sql.Rows) ([]api.Summary, error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	found := []api.Summary{}
	for rows.Next() {
		var of, state string
		var count int64
		if err := rows.Scan(&of, &state, &count); err != nil {
			return nil, err
		}
		if count == 0 {
			continue // the runs were deleted
		}
		if len(found) == 0 || found[len(found)-1].Name != of {
			found = append(found, api.Summary{Name: of})
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

// lastRunQuery selects the run of each job that started last.
const lastRunQuery = `SELECT ` + tables.RunColumns + ` FROM jobs j CROSS JOIN runs
	WHERE runs.id = (SELECT r.id FROM runs r WHERE r.job = j.name ORDER BY r.start_at DESC, r.id DESC LIMIT 1) AND` + ofJobs

// lastRuns adds each job's last run.
func (s *Queries) lastRuns(ctx context.Context, first, last string, found map[string]*api.Summary) error {
	rows, err := s.Reader.QueryContext(ctx, lastRunQuery, first, last)
	if err != nil {
		return err
	}
	runs, skipped, err := tables.ScanRuns(rows)
	if err != nil {
		return err
	}
	for i := range runs {
		if sum := found[runs[i].Job]; sum != nil {
			sum.LastRun = &runs[i]
		}
	}
	s.RecordUnreadable(ctx, troubled.Run, skipped)
	return nil
}

// usualQuery returns the query for the last good runs of each job, in the form for which the engine reads an
// index for each job.
func usualQuery(d db.Dialect) string {
	last := fmt.Sprintf(`FROM runs r WHERE r.job = j.name AND r.state = 'succeeded'
		AND r.started_at IS NOT NULL AND r.ended_at IS NOT NULL ORDER BY r.start_at DESC, r.id DESC LIMIT %d`, maxUsualRuns)
	if d.Postgres {
		return `SELECT j.name, one.started_at, one.ended_at, one.peak_memory
			FROM jobs j CROSS JOIN LATERAL (SELECT r.started_at, r.ended_at, r.peak_memory ` + last + `) AS one WHERE` + ofJobs
	}
	return `SELECT j.name, one.started_at, one.ended_at, one.peak_memory
		FROM jobs j CROSS JOIN runs one ON one.id IN (SELECT r.id ` + last + `) WHERE` + ofJobs
}

// usualRuns adds what is usual for each job.
func (s *Queries) usualRuns(ctx context.Context, first, last string, found map[string]*api.Summary) error {
	rows, err := s.Reader.QueryContext(ctx, usualQuery(s.Dialect), first, last)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	durations, peaks := map[string][]float64{}, map[string][]int64{}
	for rows.Next() {
		var of string
		var started, ended, peak int64
		if err := rows.Scan(&of, &started, &ended, &peak); err != nil {
			return err
		}
		sum := found[of]
		if sum == nil {
			continue // it began after the runs were counted
		}
		durations[of] = append(durations[of], max(time.Duration(ended-started)*time.Microsecond, 0).Seconds())
		if peak > 0 { // else it was not measured, or with file cache
			peaks[of] = append(peaks[of], peak)
		}
		if at := db.FromMicros(ended); sum.LastSuccessAt == nil || at.After(*sum.LastSuccessAt) {
			sum.LastSuccessAt = &at
		}
	}
	for of, sum := range found {
		sum.Usual = usual(durations[of], peaks[of])
	}
	return rows.Err()
}

// usual returns the usual figures of good runs; nil if there are none.
func usual(durations []float64, peaks []int64) *job.Usual {
	if len(durations) == 0 {
		return nil
	}
	slices.Sort(durations)
	slices.Sort(peaks)
	u := &job.Usual{
		Runs:               len(durations),
		DurationP50Seconds: percentile(durations, 50), DurationP95Seconds: percentile(durations, 95),
	}
	if len(peaks) > 0 {
		u.PeakMemoryP50Bytes, u.PeakMemoryP95Bytes = percentile(peaks, 50), percentile(peaks, 95)
	}
	return u
}

// percentile returns the nearest-rank percentile of sorted values. There must be at least one.
func percentile[T any](sorted []T, p int) T {
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
