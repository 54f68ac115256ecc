package tables

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// SkippedFindings returns the findings of the schedules of a range of jobs, at most limit, by job and number.
func SkippedFindings(ctx context.Context, from db.Querier, first, last string, limit int) ([]api.JobFinding, error) {
	rows, err := from.QueryContext(ctx, `SELECT job, finding, due_at FROM schedules WHERE found_at IS NOT NULL AND job >= $1 AND job <= $2
		ORDER BY job, number LIMIT $3`, first, last, limit)
	if err != nil {
		return nil, fmt.Errorf("read the findings of schedules: %w", err)
	}
	return scanSkipped(rows)
}

// LatestSkipped returns the findings of schedules that began last, at most limit.
func LatestSkipped(ctx context.Context, from db.Querier, limit int) ([]api.JobFinding, error) {
	rows, err := from.QueryContext(ctx, `SELECT job, finding, due_at FROM schedules WHERE found_at IS NOT NULL
		ORDER BY found_at DESC, job, number LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("read the findings of schedules: %w", err)
	}
	return scanSkipped(rows)
}

// scanSkipped reads findings of schedules and closes the query. What cannot be read is left out: the next occurrence
// stores it again.
func scanSkipped(rows *sql.Rows) ([]api.JobFinding, error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []api.JobFinding
	for rows.Next() {
		var one api.JobFinding
		var text string
		var next sql.NullInt64
		if err := rows.Scan(&one.Job, &text, &next); err != nil {
			return nil, fmt.Errorf("read the findings of schedules: %w", err)
		}
		if json.Unmarshal([]byte(text), &one.Finding) != nil {
			continue
		}
		all = append(all, complete(one, db.FromNullableMicros(next)))
	}
	return all, rows.Err()
}

// complete adds to a finding of a job what follows from it: when the job is due again, unless that is not known, and
// the times that its sentence names.
func complete(f api.JobFinding, due *time.Time) api.JobFinding {
	if due != nil {
		f.Next, f.NextCode, f.NextAt = "the job is due again", job.NextDue, due
	}
	f.SentenceTimes = job.TimesIn(f.Since, f.Evidence)
	return f
}

// Finding returns the finding that a job was missed; nil if it was not. severity is that of the policy of the job;
// empty for none.
func (r DueRow) Finding(severity job.Health) *api.JobFinding {
	if r.MissedSince.IsZero() {
		return nil
	}
	f := api.JobFinding{Job: r.Job, Finding: job.Finding{
		Rule: string(api.DueMissed), Health: cmp.Or(severity, job.Critical), Since: r.MissedSince,
		Evidence: due.MissedText(r.Job, r.MissedSince, r.Started), Facts: map[string]any{"times": r.MissedTimes},
	}}
	var next *time.Time
	if !r.Next.IsZero() {
		next = &r.Next
	}
	f = complete(f, next)
	return &f
}

// MissedSeverities returns the severities that the policies of a range of jobs set for missed, of those that do.
func MissedSeverities(ctx context.Context, from db.Querier, first, last string) (map[string]job.Health, error) {
	rows, err := from.QueryContext(ctx, `SELECT job, actions FROM job_policies WHERE job >= $1 AND job <= $2`, first, last)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	severities := map[string]job.Health{}
	for rows.Next() {
		var name string
		var text []byte
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		var actions struct {
			Missed struct {
				Severity job.Health `json:"severity"`
			} `json:"missed"`
		}
		if json.Unmarshal(text, &actions) == nil && actions.Missed.Severity != "" { // the monitor reports what cannot be read
			severities[name] = actions.Missed.Severity
		}
	}
	return severities, rows.Err()
}

// missedQuery selects the jobs that were missed last.
const missedQuery = `SELECT ` + DueColumns + ` FROM job_due WHERE missed_since IS NOT NULL ORDER BY missed_since DESC, job LIMIT $1`

// LatestMissed returns the findings of jobs that were missed last, at most limit.
func LatestMissed(ctx context.Context, from db.Querier, limit int) (all []api.JobFinding, err error) {
	rows, err := from.QueryContext(ctx, missedQuery, limit)
	if err != nil {
		return nil, fmt.Errorf("list missed jobs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var missed []DueRow
	for rows.Next() {
		row, err := ScanDue(rows)
		if err != nil {
			return nil, fmt.Errorf("list missed jobs: %w", err)
		}
		missed = append(missed, row)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list missed jobs: %w", err)
	}
	if len(missed) == 0 {
		return nil, nil
	}
	byName := func(a, b DueRow) int { return strings.Compare(a.Job, b.Job) }
	severities, err := MissedSeverities(ctx, from, slices.MinFunc(missed, byName).Job, slices.MaxFunc(missed, byName).Job)
	for _, row := range missed {
		all = append(all, *row.Finding(severities[row.Job]))
	}
	return all, err
}
