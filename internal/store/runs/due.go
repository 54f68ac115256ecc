package runs

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job/api"
)

// addDue adds the expectations of a range of jobs to their summaries, which are in the order of names. A job
// without runs gets a summary.
func (s *Queries) addDue(ctx context.Context, first, last string, found []api.Summary) ([]api.Summary, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.DueColumns+` FROM job_due WHERE job >= $1 AND job <= $2 ORDER BY job`, first, last)
	if err != nil {
		return nil, fmt.Errorf("read when jobs are due: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	now := s.Now()
	var missed []tables.DueRow
	for rows.Next() {
		row, err := tables.ScanDue(rows)
		if err != nil {
			return nil, fmt.Errorf("read when jobs are due: %w", err)
		}
		var sum *api.Summary
		found, sum = summaryOf(found, row.Job)
		if sum.Due = row.Show(now); !row.MissedSince.IsZero() {
			missed = append(missed, row)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read when jobs are due: %w", err)
	}
	if len(missed) == 0 {
		return found, nil
	}
	severities, err := tables.MissedSeverities(ctx, s.Reader, first, last)
	for _, row := range missed {
		var sum *api.Summary
		found, sum = summaryOf(found, row.Job)
		sum.Findings = append(sum.Findings, *row.Finding(severities[row.Job]))
	}
	return found, err
}
