// Package jobnames decides which jobs a page of a list has: of those that have runs, an expectation or schedules, in the order of
// names, those that match the filters.
package jobnames

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// WithRuns selects the names of jobs that have runs, after $1.
const WithRuns = `SELECT job FROM run_counts WHERE job > $1 GROUP BY job HAVING SUM(n) > 0 ORDER BY job LIMIT $2`

const (
	// withDue selects the names of jobs that have an expectation, also those that have not run.
	withDue = `SELECT job FROM job_due WHERE job > $1 ORDER BY job LIMIT $2`
	// withSchedules selects the names of jobs that have schedules.
	withSchedules = `SELECT DISTINCT job FROM schedules WHERE job > $1 ORDER BY job LIMIT $2`
)

const (
	// MostOnPage is the maximum number of jobs on a page.
	MostOnPage = 500
	// mostBetween is how many jobs that do not match a span may have between two that do. Reading these costs less than reading
	// two spans.
	mostBetween = 8
)

// Page is which jobs a page has.
type Page struct {
	Names  []string
	Spans  []Span // in which the names are, in order
	Cursor string // of the next page; empty on the last one
}

// Span is a range of names, from First to Last.
type Span struct{ First, Last string }

// Read returns a page.
func Read(ctx context.Context, d *db.DB, q query.Jobs) (page Page, err error) {
	after, err := ReadCursor(q.Cursor)
	if err != nil {
		return page, err
	}
	limit := q.Limit
	if limit <= 0 || limit > MostOnPage {
		limit = MostOnPage
	}
	batch := limit + 1
	if filtered(q) {
		batch = MostOnPage
	}
	for between := 0; ; {
		names, err := following(ctx, d, after, batch)
		if err != nil {
			return page, err
		}
		matching, err := matching(ctx, d, q, names)
		if err != nil {
			return page, err
		}
		for _, name := range names {
			if _, found := slices.BinarySearch(matching, name); !found {
				between++
				continue
			}
			if len(page.Names) == limit {
				page.Cursor = Cursor(page.Names[limit-1])
				return page, nil
			}
			if len(page.Spans) == 0 || between > mostBetween {
				page.Spans = append(page.Spans, Span{First: name})
			}
			page.Spans[len(page.Spans)-1].Last, between = name, 0
			page.Names = append(page.Names, name)
		}
		if len(names) < batch {
			return page, nil
		}
		after = names[batch-1]
	}
}

func filtered(q query.Jobs) bool { return q.Text != "" || ofLastRun(q) }

// ofLastRun reports whether a query filters by the last runs of jobs.
func ofLastRun(q query.Jobs) bool { return len(q.States)+len(q.Labels) > 0 }

// following returns the first names of jobs after a name: as many as limit if there are.
func following(ctx context.Context, d *db.DB, after string, limit int) (names []string, err error) {
	for what, statement := range map[string]string{"jobs": WithRuns, "jobs that are expected to run": withDue, "jobs that schedules start": withSchedules} {
		some, err := d.ReadTexts(ctx, statement, after, limit)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", what, err)
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(limit, len(names))], nil
}

// matching returns those of a list of sorted names that match a query, sorted.
func matching(ctx context.Context, d *db.DB, q query.Jobs, names []string) ([]string, error) {
	if q.Text != "" {
		text := strings.ToLower(q.Text)
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.Contains(strings.ToLower(name), text) })
	}
	if len(names) == 0 || !ofLastRun(q) {
		return names, nil
	}
	statement, args := lastRunQuery(q, names[0], names[len(names)-1])
	found, err := d.ReadTexts(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the last runs of jobs: %w", err)
	}
	slices.Sort(found)
	return slices.DeleteFunc(found, func(name string) bool {
		_, listed := slices.BinarySearch(names, name)
		return !listed
	}), nil
}

// lastRunQuery returns the query for the names of a range of jobs whose last run by start matches.
func lastRunQuery(q query.Jobs, first, last string) (string, []any) {
	args := []any{first, last}
	arg := func(text string) string {
		args = append(args, text)
		return "$" + strconv.Itoa(len(args))
	}
	statement := `SELECT j.name FROM jobs j CROSS JOIN runs
		WHERE runs.id = (SELECT r.id FROM runs r WHERE r.job = j.name ORDER BY r.start_at DESC, r.id DESC LIMIT 1) AND j.name >= $1 AND j.name <= $2`
	if len(q.States) > 0 {
		marks := make([]string, len(q.States))
		for i, state := range q.States {
			marks[i] = arg(string(state))
		}
		statement += " AND runs.state IN (" + strings.Join(marks, ", ") + ")"
	}
	for _, key := range slices.Sorted(maps.Keys(q.Labels)) {
		statement += " AND EXISTS (SELECT 1 FROM run_labels l WHERE l.run_id = runs.id AND l.key = " + arg(index.Clean(key)) +
			" AND l.value = " + arg(index.Clean(q.Labels[key])) + ")"
	}
	return statement, args
}

// Cursor returns the cursor after a job.
func Cursor(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// ReadCursor returns the job that a cursor is after; empty for an empty cursor. Its error is *job.InvalidError.
func ReadCursor(cursor string) (after string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || cursor != "" && job.CheckName(string(text)) != nil {
		return "", &job.InvalidError{What: "cursor", Value: cursor, Why: "is not one that this server gave; begin again without it"}
	}
	return string(text), nil
}
