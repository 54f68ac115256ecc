package runs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job/api"
)

// dueAfter selects the names of jobs that have an expectation.
const dueAfter = `SELECT job FROM job_due WHERE job > $1 ORDER BY job LIMIT $2`

// addDue adds the expectations of a range of jobs to their summaries, which are in the order of names. A job
// without runs gets a summary.
func (s *Queries) addDue(ctx context.Context, first, last string, found []api.Summary) ([]api.Summary, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.DueColumns+` FROM job_due WHERE job >= $1 AND job <= $2 ORDER BY job`, first, last)
	if err != nil {
		return nil, fmt.Errorf("read when jobs are due: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	now := s.Now()
	for rows.Next() {
		row, err := tables.ScanDue(rows)
		if err != nil {
			return nil, fmt.Errorf("read when jobs are due: %w", err)
		}
		at, known := slices.BinarySearchFunc(found, row.Job, func(sum api.Summary, name string) int { return strings.Compare(sum.Name, name) })
		if !known {
			found = slices.Insert(found, at, api.Summary{Name: row.Job})
		}
		found[at].Due = row.Show(now)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read when jobs are due: %w", err)
	}
	return found, nil
}

// missedQuery selects the jobs that were missed last.
const missedQuery = `SELECT ` + tables.DueColumns + ` FROM job_due WHERE missed_since IS NOT NULL ORDER BY missed_since DESC, job LIMIT $1`

// missed reads the jobs of an overview that have not started when they were due.
func (o *overview) missed(ctx context.Context) error {
	rows, err := o.QueryContext(ctx, missedQuery, o.query.Limit)
	if err != nil {
		return fmt.Errorf("list missed jobs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		row, err := tables.ScanDue(rows)
		if err != nil {
			return fmt.Errorf("list missed jobs: %w", err)
		}
		o.out.Missed = append(o.out.Missed, api.MissedJob{Name: row.Job, Due: *row.Show(o.query.Now)})
	}
	return rows.Err()
}
