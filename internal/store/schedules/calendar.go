package schedules

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/calendar"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// CountOccurrences counts the results of the times of a job's schedules from a time to another one.
func (s *Schedules) CountOccurrences(ctx context.Context, name string, from, to time.Time) ([]calendar.ResultCount, error) {
	rows, err := s.Reader.QueryContext(ctx, countOccurrences, name, db.Micros(from), db.Micros(to), calendar.CountSpan.Microseconds())
	if err != nil {
		return nil, fmt.Errorf("count the occurrences of job %s: %w", job.Quote(name), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []calendar.ResultCount
	for rows.Next() {
		var c calendar.ResultCount
		var at, last int64
		if err := rows.Scan(&at, &last, &c.Count, &c.Result, &c.State); err != nil {
			return nil, fmt.Errorf("count the occurrences of job %s: %w", job.Quote(name), err)
		}
		c.At, c.Last = db.FromMicros(at), db.FromMicros(last)
		all = append(all, c)
	}
	return all, rows.Err()
}

// countOccurrences counts those together that are rows of their own and in one span of $4.
const countOccurrences = `SELECT MIN(o.at), MAX(o.last), SUM(o.count), o.result, COALESCE(r.state, '')
	FROM occurrences o LEFT JOIN runs r ON r.id = o.run_id
	WHERE o.job = $1 AND o.last >= $2 AND o.at < $3
	GROUP BY CASE WHEN o.count = 1 THEN o.at / $4 ELSE -o.at END, o.result, COALESCE(r.state, '')`

// PlannedTimes returns the times of a job's schedules from a time to another one that have not come, in order; the
// first of them if there are more than most.
func (s *Schedules) PlannedTimes(ctx context.Context, name string, from, to time.Time, most int) ([]api.CalendarTime, error) {
	found, err := s.list(ctx, name, "", mostListed)
	if err != nil {
		return nil, err
	}
	all := []api.CalendarTime{}
	for _, one := range found {
		rule, err := one.Rule()
		if err != nil {
			return nil, err
		}
		if one.Next == nil {
			continue
		}
		at := one.Next.In(rule.Zone)
		if at.Before(from) {
			at = rule.Times.Next(from.Add(-1), rule.Zone)
		}
		for n := 0; n < most && !at.IsZero() && at.Before(to); n, at = n+1, rule.Times.Next(at, rule.Zone) {
			all = append(all, planned(one, at, rule.Change(at)))
		}
	}
	slices.SortFunc(all, func(a, b api.CalendarTime) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Schedule, b.Schedule))
	})
	return all[:min(len(all), most)], nil
}

func planned(s Schedule, at time.Time, change string) api.CalendarTime {
	t := api.CalendarTime{Schedule: s.Number, At: at, Last: at, Count: 1, Result: api.CalendarPlanned, Change: change, Paused: s.paused()}
	switch {
	case s.JobPaused != nil:
		t.Why = "the job is paused" + byWhom(*s.JobPaused)
	case s.Paused != nil:
		t.Why = "the schedule is paused" + byWhom(*s.Paused)
	}
	if s.Spread > 0 {
		starts := at.Add(s.Spread)
		t.Starts = &starts
	}
	return t
}

// byWhom says who paused something, and why.
func byWhom(p api.Pause) (text string) {
	if p.By != "" {
		text = " by " + p.By
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

// RunOccurrence returns the time for which a run was made; nil if it was made for none.
func (s *Schedules) RunOccurrence(ctx context.Context, run string) (*api.RunOccurrence, error) {
	var o api.RunOccurrence
	var name string
	var at, made int64
	err := s.Reader.QueryRowContext(ctx, `SELECT o.job, o.number, o.at, o.result, o.why, r.created_at FROM occurrences o JOIN runs r ON r.id = o.run_id WHERE o.run_id = $1`, run).
		Scan(&name, &o.Schedule, &at, &o.Result, &o.Why, &made)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("read for which time run %s was made: %w", run, err)
	}
	o.At = db.FromMicros(at)
	late := db.FromMicros(made).Sub(o.At)
	found, err := s.list(ctx, name, "", mostListed)
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		rule, err := one.Rule()
		if one.Number != o.Schedule || err != nil { // one that cannot be read is a troubled item
			continue
		}
		o.When, o.Zone, o.At = one.Text(), view(one).Zone, o.At.In(rule.Zone)
		late -= one.Spread
	}
	o.LateSeconds = max(0, late).Seconds()
	return &o, nil
}
