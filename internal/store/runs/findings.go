package runs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"stint.dev/stint/internal/store/jobnames"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// addStarts adds when schedules start a range of jobs next. A job without runs gets a summary.
func (s *Queries) addStarts(ctx context.Context, first, last string, found []api.Summary) ([]api.Summary, error) {
	next, err := tables.NextStarts(ctx, s.Reader, first, last)
	for name, at := range next {
		var sum *api.Summary
		found, sum = summaryOf(found, name)
		sum.NextAt = at
	}
	return found, err
}

// maxFound is how many findings of schedules are read for a page of jobs.
const maxFound = 10 * jobnames.MostOnPage

// addFindings adds the findings of schedules of a range of jobs to their summaries, which are in the order of names. A
// job without runs gets a summary.
func (s *Queries) addFindings(ctx context.Context, first, last string, found []api.Summary) ([]api.Summary, error) {
	skipped, err := tables.SkippedFindings(ctx, s.Reader, first, last, maxFound)
	if err != nil {
		return nil, err
	}
	for _, f := range skipped {
		var sum *api.Summary
		found, sum = summaryOf(found, f.Job)
		sum.Findings = append(sum.Findings, f)
	}
	return found, nil
}

// summaryOf returns the summary of a job, which it adds if there is none.
func summaryOf(found []api.Summary, name string) ([]api.Summary, *api.Summary) {
	at, known := slices.BinarySearchFunc(found, name, func(sum api.Summary, name string) int { return strings.Compare(sum.Name, name) })
	if !known {
		found = slices.Insert(found, at, api.Summary{Name: name})
	}
	return found, &found[at]
}

// findings reads the findings of the jobs of an overview.
func (o *overview) findings(ctx context.Context) error {
	missed, err := tables.LatestMissed(ctx, o, o.query.Limit)
	if err != nil {
		return err
	}
	skipped, err := tables.LatestSkipped(ctx, o, o.query.Limit)
	if err != nil {
		return err
	}
	all := append(missed, skipped...)
	slices.SortStableFunc(all, func(a, b api.JobFinding) int {
		switch {
		case a.Health == b.Health:
		case a.Health == job.Critical:
			return -1
		case b.Health == job.Critical:
			return 1
		}
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Job, b.Job))
	})
	o.out.Findings = append(o.out.Findings, all[:min(len(all), o.query.Limit)]...)
	return nil
}
