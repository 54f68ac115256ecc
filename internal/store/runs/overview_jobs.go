package runs

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/jobnames"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// jobNames counts the jobs and, if list is set, returns the names of a page of them.
func (o *overview) jobNames(ctx context.Context, list bool) ([]string, error) {
	out := &o.out.Jobs
	err := o.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT job FROM run_counts GROUP BY job HAVING SUM(n) > 0) AS present`).Scan(&out.Count)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	after, err := jobnames.ReadCursor(o.query.JobsCursor)
	if err != nil || !list {
		return nil, err
	}
	names, err := db.QueryTexts(ctx, o, jobnames.WithRuns, after, o.query.Limit+1)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	if len(names) > o.query.Limit {
		names = names[:o.query.Limit]
		next := jobnames.Cursor(names[len(names)-1])
		out.NextCursor = &next
	}
	return names, nil
}

// jobs adds a page of jobs, and the recent runs of their jobs to runs that ended badly.
func (o *overview) jobs(ctx context.Context, names []string, troubles []api.OverviewRun) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	for _, r := range troubles {
		if r.State.Terminal() {
			wanted[r.Job] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	all := slices.Sorted(maps.Keys(wanted))
	counts, err := o.counts(ctx, all)
	if err != nil {
		return fmt.Errorf("count the runs of jobs: %w", err)
	}
	last, err := o.lastRuns(ctx, all)
	if err != nil {
		return fmt.Errorf("read the last runs of jobs: %w", err)
	}
	for i := range troubles {
		if r := &troubles[i]; r.State.Terminal() {
			recent := query.RecentRuns(last[r.Job], counts[r.Job])
			r.Recent = &recent
		}
	}
	if len(names) == 0 {
		return nil
	}
	usual, err := o.store.expected(ctx, o, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		day := query.DayOf(last[name], o.query.Now)
		day.Name, day.Runs, day.Active = name, counts[name].Runs, counts[name].Active
		day.Usual = query.UsualOf(usual[name])
		o.out.Jobs.Jobs = append(o.out.Jobs.Jobs, day)
	}
	return nil
}

// counts counts the runs of jobs.
func (o *overview) counts(ctx context.Context, names []string) (map[string]api.Summary, error) {
	table, args := o.store.Dialect.Table(1, db.Column{Texts: names})
	rows, err := o.QueryContext(ctx, `SELECT job, state, SUM(n) FROM run_counts WHERE job IN (SELECT c0 FROM `+table+`) GROUP BY job, state ORDER BY job, state`, args...)
	if err != nil {
		return nil, err
	}
	found, err := sumCounts(rows)
	out := make(map[string]api.Summary, len(found))
	for _, sum := range found {
		out[sum.Name] = sum
	}
	return out, err
}

// lastRunsQuery returns the query for the last runs of jobs: a row for each job, with number, state and start of
// its last runs as words. It reads only index entries, one more for each job than an overview shows.
func lastRunsQuery(d db.Dialect, names []string) (string, []any) {
	table, args := d.Table(1, db.Column{Texts: names})
	return fmt.Sprintf(`SELECT v.c0, (SELECT string_agg(last.words, ' ') FROM (SELECT r.number || ' ' || r.state || ' ' || r.start_at AS words
		FROM runs r WHERE r.job = v.c0 ORDER BY r.start_at DESC, r.id DESC LIMIT %d) AS last) FROM %s`, query.OverviewCells+1, table), args
}

// lastRuns returns the runs of each job that started last, the last one first.
func (o *overview) lastRuns(ctx context.Context, names []string) (map[string][]api.LastRun, error) {
	query, args := lastRunsQuery(o.store.Dialect, names)
	rows, err := o.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	out := make(map[string][]api.LastRun, len(names))
	for rows.Next() {
		var name string
		var words sql.NullString
		if err := rows.Scan(&name, &words); err != nil {
			return nil, err
		}
		if out[name], err = readLastRuns(words.String); err != nil {
			return nil, fmt.Errorf("the last runs of job %s: %w", job.Quote(name), err)
		}
	}
	return out, rows.Err()
}

// readLastRuns parses the words of lastRunsQuery for a job.
func readLastRuns(text string) ([]api.LastRun, error) {
	words := strings.Fields(text)
	if len(words)%3 != 0 {
		return nil, fmt.Errorf("%d words are not three for each run", len(words))
	}
	runs := make([]api.LastRun, 0, len(words)/3)
	for some := range slices.Chunk(words, 3) {
		number, err := strconv.ParseInt(some[0], 10, 64)
		if err != nil {
			return nil, err
		}
		start, err := strconv.ParseInt(some[2], 10, 64)
		if err != nil {
			return nil, err
		}
		runs = append(runs, api.LastRun{Number: number, State: job.State(some[1]), StartAt: db.FromMicros(start)})
	}
	slices.SortStableFunc(runs, func(a, b api.LastRun) int { return b.StartAt.Compare(a.StartAt) })
	return runs, nil
}
