package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// mostBackfilled limits the times that one request may backfill.
const mostBackfilled = 1000

// Backfill makes the runs of all times of a job's schedules in a period that have passed and have none. Unless the
// definition allows overlaps, each waits for the end of the one before. It returns the occurrences of the period, the
// last first. The error is *query.NotFoundError for a job or number without a schedule, and *job.InvalidError for a
// period of too many times.
func (s *Schedules) Backfill(ctx context.Context, name string, b api.Backfill) ([]api.OccurrenceRecord, error) {
	to := b.To
	if now := s.Now(); to.After(now) {
		to = now
	}
	found, err := s.list(ctx, name, "", mostListed)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(one Schedule) bool { return b.Schedule != 0 && one.Number != b.Schedule })
	if len(found) == 0 {
		return nil, &query.NotFoundError{What: fmt.Sprintf("a schedule of job %s", job.Quote(name))}
	}
	all, err := timesOf(found, b.From, to)
	if err != nil {
		return nil, err
	}
	var before string // the last run that was created
	for len(all) > 0 {
		some := all[:min(len(all), batch)]
		all = all[len(some):]
		if before, err = s.backfill(ctx, some, before, b.By); err != nil {
			return nil, err
		}
	}
	return s.Occurrences(ctx, name, b.From, to, 2*mostBackfilled)
}

// pastTime is a past time of a schedule.
type pastTime struct {
	Schedule
	at time.Time
}

func timesOf(found []Schedule, from, to time.Time) (all []pastTime, err error) {
	for _, one := range found {
		rule, err := one.Rule()
		if err != nil {
			return nil, err
		}
		for at := rule.Times.Next(from.Add(-1), rule.Zone); !at.IsZero() && at.Before(to); at = rule.Times.Next(at, rule.Zone) {
			if one.Next != nil && !at.Before(*one.Next) {
				break // the next tick starts it
			}
			if all = append(all, pastTime{one, at}); len(all) > mostBackfilled {
				return nil, &job.InvalidError{What: "period", Value: "", Why: fmt.Sprintf("has more than %d times: choose a shorter one", mostBackfilled)}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pastTime) int { return a.at.Compare(b.at) })
	return all, nil
}

func (s *Schedules) backfill(ctx context.Context, some []pastTime, before, by string) (last string, err error) {
	var runs int64
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		last, runs = before, 0
		for _, one := range some {
			locked, err := lock(ctx, t, one.Job, one.Number)
			if err != nil {
				return err
			}
			has, err := uncover(ctx, t, locked, one.at)
			if err != nil {
				return err
			}
			if has {
				continue
			}
			run, err := s.backfillOne(ctx, t, locked, one.at, last, by)
			if err != nil {
				return err
			}
			if run != "" {
				last = run
				runs++
			}
		}
		return nil
	})
	if err == nil {
		s.count([]schedule.Slot{{Result: schedule.RanLate, Count: int(runs)}})
	}
	return last, err
}

// backfillOne makes the run of a time, which waits for another one, and its occurrence. It returns "" if there is none.
func (s *Schedules) backfillOne(ctx context.Context, t *db.Tx, of Schedule, at time.Time, before, by string) (string, error) {
	o := rules.Occurrence{By: by}
	d, _, err := tables.ReadDefinition(ctx, t, of.Job, "")
	if err != nil {
		return "", err
	}
	switch {
	case d.Overlap == definition.OverlapAllow:
	case before == "":
		o.Overlap = definition.OverlapQueue
	default:
		o.Overlap, o.After = definition.OverlapAllow, []job.Dependency{{Run: before, When: rules.WhenEnded}}
	}
	rule, err := of.Rule()
	if err != nil {
		return "", err
	}
	occurrenceOf(&o, of, rule, at)
	one := starting{Schedules: s, t: t}
	m := startResult{slot: schedule.Slot{At: at, Last: at, Count: 1, Result: schedule.RanLate, Why: "backfilled by " + by}}
	if err := one.submit(ctx, []rules.Occurrence{o}, func(int) *startResult { return &m }); err != nil {
		return "", err
	}
	if m.run == "" {
		return "", record(ctx, t, of, []schedule.Slot{m.slot})
	}
	return m.run, recordRuns(ctx, t, []runOf{{of, m.slot, m.run}})
}

// uncover removes a time from the occurrences without a run, and reports whether it has one with a run.
func uncover(ctx context.Context, t *db.Tx, s Schedule, at time.Time) (has bool, err error) {
	var begin, last, count int64
	var result, why string
	var run sql.NullString
	wrong := func(err error) error {
		return fmt.Errorf("make room for a run of schedule %d of job %s at %s: %w", s.Number, job.Quote(s.Job), job.TimeText(at), err)
	}
	err = t.QueryRowContext(ctx, `SELECT at, last, count, result, why, run_id FROM occurrences WHERE job = $1 AND number = $2 AND at <= $3 ORDER BY at DESC LIMIT 1`, s.Job, s.Number, db.Micros(at)).
		Scan(&begin, &last, &count, &result, &why, &run)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && last < db.Micros(at):
		return false, nil
	case err != nil:
		return false, wrong(err)
	case run.Valid:
		return true, nil
	}
	rule, err := s.Rule()
	if err != nil {
		return false, err
	}
	// Several in one row become those before the time and those after it.
	before, previous := int64(0), int64(0)
	for next := db.FromMicros(begin).In(rule.Zone); next.Before(at) && before < count-1; next = rule.Times.Next(next, rule.Zone) {
		before, previous = before+1, db.Micros(next)
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM occurrences WHERE job = $1 AND number = $2 AND at = $3`, s.Job, s.Number, begin); err != nil {
		return false, wrong(err)
	}
	for _, part := range []struct{ at, last, count int64 }{{begin, previous, before}, {db.Micros(rule.Times.Next(at, rule.Zone)), last, count - 1 - before}} {
		if part.count == 0 {
			continue
		}
		_, err := t.ExecContext(ctx, `INSERT INTO occurrences (job, number, at, last, count, result, why, nth, expire_from) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $4)`,
			s.Job, s.Number, part.at, part.last, part.count, result, why)
		if err != nil {
			return false, wrong(err)
		}
	}
	return false, nil
}
