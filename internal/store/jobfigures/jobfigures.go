// Package jobfigures reads figures of many jobs for metrics, in a few queries that read indexes.
package jobfigures

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// maxJobs is the maximum number of jobs that have figures: the first ones by name.
const maxJobs = 10_000

// PerJob reads the figures of the jobs of a database.
type PerJob struct{ *db.DB }

// New returns the PerJob of a database.
func New(d *db.DB) *PerJob { return &PerJob{DB: d} }

// present selects the names of the jobs that exist: they have runs, an expectation or a definition.
const present = `SELECT job FROM run_counts GROUP BY job HAVING SUM(n) > 0 UNION SELECT job FROM job_due UNION SELECT job FROM definitions`

// JobFigures returns the figures of up to 10,000 jobs, with the values of some labels of their last runs.
func (s *PerJob) JobFigures(ctx context.Context, labels []string) (query.JobsFigures, error) {
	names, err := s.ReadTexts(ctx, present+` ORDER BY job LIMIT $1`, maxJobs)
	if err != nil {
		return query.JobsFigures{}, fmt.Errorf("list jobs: %w", err)
	}
	r := reader{DB: s.DB, labels: labels, byName: make(map[string]*query.JobFigures, len(names)), findings: map[query.JobFindings]int{}}
	r.out.Jobs = make([]query.JobFigures, len(names))
	for i, name := range names {
		r.out.Jobs[i] = query.JobFigures{Name: name, Labels: make([]string, len(labels)), Duration: -1, Ended: map[job.State]int64{}}
		r.byName[name] = &r.out.Jobs[i]
	}
	if len(names) == 0 {
		return r.out, nil
	}
	r.first, r.last = names[0], names[len(names)-1]
	for _, part := range []struct {
		what string
		read func(context.Context) error
	}{
		{"count the jobs that are left out", r.leftOut},
		{"count the runs of jobs", r.counts},
		{"read when jobs are due", r.due},
		{"read the last starts of jobs", r.starts},
		{"read the last ends of jobs", r.ends},
		{"read the last successes of jobs", r.successes},
		{"read how the last runs of jobs ended", r.failures},
		{"read the last pulses of jobs", r.pulses},
		{"count the findings of jobs", r.countFindings},
	} {
		if err := part.read(ctx); err != nil {
			return query.JobsFigures{}, fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return r.out, nil
}

// reader reads the figures once.
type reader struct {
	*db.DB
	labels      []string
	first, last string // names of jobs
	byName      map[string]*query.JobFigures
	findings    map[query.JobFindings]int // runs; the key has none
	out         query.JobsFigures
}

// each calls row for each row of a query. The first column is the name of a job. Rows of jobs that are left out, or that
// began meanwhile, are skipped.
func (r *reader) each(ctx context.Context, statement string, args []any, into []any, row func(*query.JobFigures) error) error {
	rows, err := r.Reader.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var name string
	into = append([]any{&name}, into...)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if of := r.byName[name]; of != nil {
			if err := row(of); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

func (r *reader) leftOut(ctx context.Context) error {
	if len(r.out.Jobs) < maxJobs {
		return nil
	}
	var n int
	err := r.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+present+`) AS present`).Scan(&n)
	r.out.LeftOut = max(0, n-len(r.out.Jobs))
	return err
}

func (r *reader) counts(ctx context.Context) error {
	var state job.State
	var runs, ended int64
	const counts = `SELECT job, state, SUM(n), SUM(ended) FROM run_counts WHERE job >= $1 AND job <= $2 GROUP BY job, state`
	return r.each(ctx, counts, []any{r.first, r.last}, []any{&state, &runs, &ended}, func(of *query.JobFigures) error {
		switch {
		case state.Terminal():
			of.Ended[state] = ended
		case state.Active():
			of.Active += runs
		}
		return nil
	})
}

func (r *reader) due(ctx context.Context) error {
	rows, err := r.Reader.QueryContext(ctx, `SELECT `+tables.DueColumns+` FROM job_due WHERE job >= $1 AND job <= $2`, r.first, r.last)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		row, err := tables.ScanDue(rows)
		if err != nil {
			return err
		}
		if of := r.byName[row.Job]; of != nil {
			of.Expected, of.Missed, of.Due = true, !row.MissedSince.IsZero(), row.Next
		}
	}
	return rows.Err()
}

// lastRun returns the query for some columns of the run of each job that started last, of those that fulfill a condition.
func lastRun(columns, condition string) string {
	return `SELECT j.name, ` + columns + ` FROM jobs j CROSS JOIN runs
		WHERE runs.id = (SELECT r.id FROM runs r WHERE r.job = j.name AND ` + condition + ` ORDER BY r.start_at DESC, r.id DESC LIMIT 1)
		AND j.name >= $1 AND j.name <= $2`
}

// The conditions of the last runs. A run that waits, or was canceled while it did, has no attempt. With IS TRUE the runs of a
// job are read from the last one back, and not sorted by their states.
const (
	hasStarted = `r.state <> 'queued' AND r.attempt > 0`
	hasEnded   = `(r.state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost')) IS TRUE AND r.attempt > 0`
	succeeded  = `r.state = 'succeeded'`
)

// document is what metrics show of the document of a run.
type document struct {
	Outcome struct {
		ExitCode *int `json:"exit_code"`
	} `json:"outcome"`
	Labels   map[string]string `json:"labels"`
	Findings []job.Finding     `json:"findings"`
}

// readDocument returns an empty document for one that cannot be read. The code that lists runs records that.
func readDocument(stored []byte) document {
	var d document
	if json.Unmarshal(stored, &d) != nil {
		return document{}
	}
	return d
}

func (r *reader) starts(ctx context.Context) error {
	columns := `start_at, doc`
	if len(r.labels) == 0 {
		columns = `start_at, ''`
	}
	var start int64
	var doc []byte
	return r.each(ctx, lastRun(columns, hasStarted), []any{r.first, r.last}, []any{&start, &doc}, func(of *query.JobFigures) error {
		of.LastStart = db.FromMicros(start)
		if len(r.labels) > 0 {
			values := readDocument(doc).Labels
			for i, key := range r.labels {
				of.Labels[i] = values[key]
			}
		}
		return nil
	})
}

func (r *reader) ends(ctx context.Context) error {
	var started, ended, known sql.NullInt64
	var doc []byte
	var peak int64
	statement, into := lastRun(`started_at, ended_at, end_known_at, peak_memory, doc`, hasEnded), []any{&started, &ended, &known, &peak, &doc}
	return r.each(ctx, statement, []any{r.first, r.last}, into, func(of *query.JobFigures) error {
		if started.Valid && ended.Valid && ended.Int64 > started.Int64 { // as in job.Run.Took
			of.Duration = time.Duration(ended.Int64-started.Int64) * time.Microsecond
		}
		if !ended.Valid {
			ended = known // when it was called lost
		}
		of.LastEnd, of.PeakMemory, of.ExitCode = db.FromMicros(ended.Int64), peak, readDocument(doc).Outcome.ExitCode
		return nil
	})
}

func (r *reader) successes(ctx context.Context) error {
	var ended sql.NullInt64
	return r.each(ctx, lastRun(`ended_at`, succeeded), []any{r.first, r.last}, []any{&ended}, func(of *query.JobFigures) error {
		if ended.Valid {
			of.LastSuccess = db.FromMicros(ended.Int64)
		}
		return nil
	})
}

// maxFailures is the number of failures in a row from which they are not counted.
const maxFailures = 10

// lastEnds selects the states of the last runs of each job that succeeded or ended badly: a row for each job. It reads only
// index entries.
var lastEnds = fmt.Sprintf(`SELECT j.name, (SELECT string_agg(last.state, ' ') FROM (SELECT r.state FROM runs r WHERE r.job = j.name
	AND (r.state IN ('succeeded', 'failed', 'timed_out', 'lost')) IS TRUE ORDER BY r.start_at DESC, r.id DESC LIMIT %d) AS last)
	FROM jobs j WHERE j.name >= $1 AND j.name <= $2`, maxFailures)

func (r *reader) failures(ctx context.Context) error {
	var states sql.NullString // of the last run first
	return r.each(ctx, lastEnds, []any{r.first, r.last}, []any{&states}, func(of *query.JobFigures) error {
		bad, _, _ := strings.Cut(states.String, string(job.Succeeded))
		of.FailuresInARow = len(strings.Fields(bad))
		return nil
	})
}

// pulses reads the last successes that were counted and are no runs.
func (r *reader) pulses(ctx context.Context) error {
	var at int64
	const pulses = `SELECT job, last_at FROM job_pulses WHERE job >= $1 AND job <= $2 AND last_at IS NOT NULL`
	return r.each(ctx, pulses, []any{r.first, r.last}, []any{&at}, func(of *query.JobFigures) error {
		pulse := db.FromMicros(at)
		if pulse.After(of.LastSuccess) {
			of.LastSuccess = pulse
		}
		if pulse.After(of.LastEnd) {
			of.FailuresInARow = 0
		}
		return nil
	})
}

// The runs with findings. Both queries read an index that has no other runs.
const (
	troubledActive  = `SELECT job, doc FROM runs WHERE leased = 1 AND health IN ('warning', 'critical')`
	troubledWaiting = `SELECT job, doc FROM runs WHERE leased = 0 AND health <> ''`
)

func (r *reader) countFindings(ctx context.Context) error {
	var doc []byte
	count := func(of *query.JobFigures) error {
		for _, f := range readDocument(doc).Findings {
			r.findings[query.JobFindings{Job: of.Name, Rule: f.Rule, Severity: f.Health}]++
		}
		return nil
	}
	if err := errors.Join(r.each(ctx, troubledActive, nil, []any{&doc}, count), r.each(ctx, troubledWaiting, nil, []any{&doc}, count)); err != nil {
		return err
	}
	for key, runs := range maps.All(r.findings) {
		key.Runs = runs
		r.out.Findings = append(r.out.Findings, key)
	}
	slices.SortFunc(r.out.Findings, func(a, b query.JobFindings) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Severity, b.Severity))
	})
	return nil
}
