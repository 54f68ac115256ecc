package schedules

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// view shows a schedule.
func view(s Schedule) api.Schedule {
	out := api.Schedule{
		Job: s.Job, Number: s.Number, When: s.Text(), Zone: s.Zone, CatchUp: s.CatchUp, WindowMS: time.Duration(s.Window).Milliseconds(),
		SpreadMS: s.Spread.Milliseconds(), Parameters: s.Parameters, NextAt: s.Next, Paused: s.Paused, JobPaused: s.JobPaused,
	}
	if out.Zone == "" {
		out.Zone = "UTC"
	}
	if out.CatchUp == "" {
		out.CatchUp = "latest"
	}
	if out.WindowMS == 0 && out.CatchUp != definition.CatchUpNone {
		out.WindowMS = schedule.DefaultWindow.Milliseconds()
	}
	return out
}

// list returns schedules in the order of their jobs and places in the definition: those of one job, or for "" of all
// jobs from one on.
func (s *Schedules) list(ctx context.Context, name, from string, limit int) ([]Schedule, error) {
	return scanAll(s.Reader.QueryContext(ctx, `SELECT `+columns+` WHERE (s.job = $1 OR $1 = '' AND s.job >= $2) ORDER BY s.job, s.position LIMIT $3`, name, from, limit))
}

// ListSchedules returns the schedules of one job, or for "" those of all jobs after another one; at most limit, but all
// of a job.
func (s *Schedules) ListSchedules(ctx context.Context, name, after string, limit int) ([]api.Schedule, error) {
	found, err := scanAll(s.Reader.QueryContext(ctx, `SELECT `+columns+` WHERE s.job IN (SELECT DISTINCT job FROM schedules WHERE (job = $1 OR $1 = '' AND job > $2) ORDER BY job LIMIT $3) ORDER BY s.job, s.position`, name, after, limit))
	if err != nil {
		return nil, err
	}
	all := []api.Schedule{}
	for _, one := range found {
		if len(all) >= limit && one.Job != all[len(all)-1].Job {
			break
		}
		all = append(all, view(one))
	}
	return all, nil
}

// mostListed is the most schedules whose next times are computed at once.
const mostListed = 10_000

// ScheduledTimes returns the next n times of the schedules of a job, or of all jobs for "".
func (s *Schedules) ScheduledTimes(ctx context.Context, name string, n int) ([]api.ScheduledTime, error) {
	found, err := s.list(ctx, name, "", mostListed)
	if err != nil {
		return nil, err
	}
	all := []api.ScheduledTime{}
	for _, one := range found {
		rule, err := one.Rule()
		if err != nil {
			return nil, err
		}
		at := time.Time{}
		if one.Next != nil {
			at = one.Next.In(rule.Zone)
		}
		for k := 0; k < n && !at.IsZero(); k, at = k+1, rule.Times.Next(at, rule.Zone) {
			all = append(all, api.ScheduledTime{
				Job: one.Job, Schedule: one.Number, At: at, Starts: at.Add(one.Spread), Change: rule.Change(at), Paused: one.paused(),
			})
		}
		if len(all) > 4*n { // those that are not among the first are forgotten from time to time
			all = first(all, n)
		}
	}
	return first(all, n), nil
}

func first(all []api.ScheduledTime, n int) []api.ScheduledTime {
	slices.SortFunc(all, func(a, b api.ScheduledTime) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Schedule, b.Schedule))
	})
	return all[:min(len(all), n)]
}

// Occurrences returns the results of the times of a job's schedules from a time to another one, the last first, at most
// limit. The job may have no definition any more.
func (s *Schedules) Occurrences(ctx context.Context, name string, from, to time.Time, limit int) ([]api.OccurrenceRecord, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT o.number, o.at, o.last, o.count, o.result, o.why, COALESCE(o.run_id, ''), COALESCE(r.number, 0), COALESCE(r.state, '')
		FROM occurrences o LEFT JOIN runs r ON r.id = o.run_id
		WHERE o.job = $1 AND o.last >= $2 AND o.at < $3 ORDER BY o.at DESC, o.number LIMIT $4`, name, db.Micros(from), db.Micros(to), limit)
	if err != nil {
		return nil, fmt.Errorf("list the occurrences of job %s: %w", job.Quote(name), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []api.OccurrenceRecord{}
	for rows.Next() {
		o, err := scanOccurrence(rows)
		if err != nil {
			return nil, fmt.Errorf("list the occurrences of job %s: %w", job.Quote(name), err)
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

func scanOccurrence(rows *sql.Rows) (o api.OccurrenceRecord, err error) {
	var at, last int64
	err = rows.Scan(&o.Schedule, &at, &last, &o.Count, &o.Result, &o.Why, &o.Run, &o.Number, &o.State)
	o.At, o.Last = db.FromMicros(at), db.FromMicros(last)
	if o.Result == string(schedule.Skipped) {
		o.InTheWay = tables.ActiveRunName(o.Why)
	}
	return o, err
}

// Late returns by how much the schedule is late that is due for longest; zero for none.
func (s *Schedules) Late(ctx context.Context, now time.Time) (time.Duration, error) {
	due, err := db.QueryNumbers(ctx, s.Reader, `SELECT due_at FROM schedules WHERE due_at <= $1 ORDER BY due_at LIMIT 1`, db.Micros(now))
	if err != nil || len(due) == 0 {
		return 0, err
	}
	return now.Sub(db.FromMicros(due[0])), nil
}
