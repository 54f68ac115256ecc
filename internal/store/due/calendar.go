package due

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/calendar"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// mostStarts is the most starts that are compared with due times: those of each minute in the longest calendar.
const mostStarts = calendar.MostDays * 24 * 60

// DueTimes returns the due times of a job's expectation from a time to another one, and what became of each, in order.
// There are none if the job has no expectation.
func (s *Expectations) DueTimes(ctx context.Context, name string, from, to, now time.Time) ([]api.CalendarTime, error) {
	row, err := find(ctx, s.Reader, name, "")
	var none *query.NotFoundError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := s.expectation(ctx, row, from, to, now)
	if err != nil {
		return nil, fmt.Errorf("read what became of the due times of job %s: %w", job.Quote(name), err)
	}
	return e.Times(from, to, now)
}

// expectation reads what is known of the due times from a time to another one.
func (s *Expectations) expectation(ctx context.Context, row tables.DueRow, from, to, now time.Time) (e calendar.Expectation, err error) {
	rule, err := due.Parse(row.Expectation)
	if err != nil {
		return e, err
	}
	e.Due = *row.Show(now)
	if e.Missed, err = s.missedTimes(ctx, `AND last_at >= $2 AND due_at < $3 ORDER BY due_at`, row.Job, db.Micros(from), db.Micros(to)); err != nil {
		return e, err
	}
	days, err := s.days(ctx, `AND day >= $2 AND day <= $3`, row.Job, from.Unix()/secondsOfDay, to.Unix()/secondsOfDay)
	if err != nil {
		return e, err
	}
	e.Kept = map[string]int64{}
	for _, d := range days {
		e.Kept[d.Day] = d.Kept
	}
	until := to
	if row.Cron != "" { // the last due time may have had its start after the period
		until = db.Latest(to, rule.First(time.Time{}, to))
	}
	e.Starts, err = s.starts(ctx, row.Job, from.Add(-time.Minute), until)
	return e, err
}

// starts returns the runs of a job that started from a time to another one, in order. Queued runs have no attempt.
func (s *Expectations) starts(ctx context.Context, name string, from, to time.Time) ([]calendar.Start, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT id, number, state, start_at FROM runs WHERE job = $1 AND start_at >= $2 AND start_at < $3 AND attempt > 0
		ORDER BY start_at DESC, id DESC LIMIT $4`, name, db.Micros(from), db.Micros(to), mostStarts)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []calendar.Start
	for rows.Next() {
		var one calendar.Start
		var at int64
		if err := rows.Scan(&one.Run, &one.Number, &one.State, &at); err != nil {
			return nil, err
		}
		one.At = db.FromMicros(at)
		all = append(all, one)
	}
	slices.Reverse(all)
	return all, rows.Err()
}

// UpcomingDue returns the first n due times that an expectation of a job would have if it was set now. The error is
// *job.InvalidError if it is not valid.
func (s *Expectations) UpcomingDue(ctx context.Context, name string, e job.Expectation, n int, now time.Time) (out api.DueTimes, err error) {
	rule, err := due.Parse(e)
	if err != nil {
		return out, err
	}
	row, err := find(ctx, s.Reader, name, "")
	var none *query.NotFoundError
	if errors.As(err, &none) {
		row.Started, err = lastStart(ctx, s.Reader, name, time.Unix(0, 0), now.Add(time.Microsecond))
	}
	if err != nil {
		return out, err
	}
	out = api.DueTimes{Expectation: rule.Expectation(), Times: rule.Upcoming(row.Started, now, n)}
	if !row.Started.IsZero() {
		out.LastStartAt = &row.Started
	}
	return out, nil
}
