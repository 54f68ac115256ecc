package due

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// lastStarts selects the last starts of a job, off an index alone. Runs that have not started are queued.
const lastStarts = `SELECT start_at FROM runs WHERE job = $1 AND state <> 'queued' ORDER BY start_at DESC LIMIT $2`

// unexpected selects whether a job is there of which nobody expects a start: it has no expectation, no schedule starts
// it, and nobody has dismissed the suggestion.
const unexpected = `SELECT COUNT(*) FROM jobs j WHERE j.name = $1 AND j.no_suggestion = 0
	AND NOT EXISTS (SELECT 1 FROM job_due d WHERE d.job = j.name) AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.job = j.name)`

// SuggestDue returns the expectation that the starts of a job fit, in one of some zones, the likeliest zone first. It
// returns none for a job that is expected already, that schedules start, or for which a person wants none.
func (s *Expectations) SuggestDue(ctx context.Context, name string, zones []*time.Location, now time.Time) (out api.DueSuggestion, err error) {
	if job.CheckName(name) != nil {
		return out, nil
	}
	var n int
	if err := s.Reader.QueryRowContext(ctx, unexpected, name).Scan(&n); err != nil {
		return out, fmt.Errorf("read whether job %s is expected: %w", job.Quote(name), err)
	}
	if n == 0 {
		return out, nil
	}
	starts, err := db.QueryNumbers(ctx, s.Reader, lastStarts, name, due.MostStarts)
	if err != nil {
		return out, fmt.Errorf("read the starts of job %s: %w", job.Quote(name), err)
	}
	times := make([]time.Time, len(starts))
	for i, at := range starts {
		times[i] = db.FromMicros(at)
	}
	slices.Reverse(times)
	if found := due.Suggest(times, zones, now); found != nil {
		out.Suggested = &api.SuggestedDue{Expectation: found.Expectation, When: found.When, OffSeconds: int64(found.Off / time.Second), Starts: found.Starts}
	}
	return out, nil
}

// DismissSuggestion suggests nothing for a job any more. The error is *query.NotFoundError if there is no such job.
func (s *Expectations) DismissSuggestion(ctx context.Context, name string) error {
	missing := &query.NotFoundError{What: "job " + job.Quote(name)}
	if job.CheckName(name) != nil {
		return missing
	}
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, `UPDATE jobs SET no_suggestion = 1 WHERE name = $1`, name)
		if err != nil {
			return fmt.Errorf("suggest nothing for job %s: %w", job.Quote(name), err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err != nil {
				return fmt.Errorf("suggest nothing for job %s: %w", job.Quote(name), err)
			}
			return missing
		}
		return nil
	})
}
