package schedules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// keepOccurrences is how long an occurrence without a run is kept. One with a run goes with the run.
const keepOccurrences = 400 * 24 * time.Hour

// expiry is the rule for them.
var expiry = db.ExpiryRule{Table: "occurrences", Key: "job, number, at", At: "expire_from", After: keepOccurrences, Batch: 500}

// ExpireOccurrences deletes the old occurrences without a run.
func (s *Schedules) ExpireOccurrences(ctx context.Context, now time.Time) error {
	return s.Expire(ctx, expiry, now)
}

// recorded reports whether there is an occurrence of a time.
func recorded(ctx context.Context, t *db.Tx, s Schedule, at time.Time) (bool, error) {
	var last int64
	err := t.QueryRowContext(ctx, `SELECT last FROM occurrences WHERE job = $1 AND number = $2 AND at <= $3 ORDER BY at DESC LIMIT 1`, s.Job, s.Number, db.Micros(at)).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("read the occurrence of schedule %d of job %s at %s: %w", s.Number, job.Quote(s.Job), job.TimeText(at), err)
	}
	return err == nil && last >= db.Micros(at), nil
}

// occasion is a time at which a schedule is due.
type occasion struct {
	Schedule
	at time.Time
}

func (o occasion) name() string { return fmt.Sprintf("%s at %d", o.id(), db.Micros(o.at)) }

// recordedOf returns the names of those of some occasions that have an occurrence.
func recordedOf(ctx context.Context, t *db.Tx, all []occasion) (map[string]bool, error) {
	known := map[string]bool{}
	if len(all) == 0 {
		return known, nil
	}
	var jobs []string
	var numbers, at []int64
	for _, o := range all {
		jobs, numbers, at = append(jobs, o.Job), append(numbers, int64(o.Number)), append(at, db.Micros(o.at))
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: jobs}, db.Column{Numbers: numbers}, db.Column{Numbers: at})
	names, err := db.QueryTexts(ctx, t, `SELECT c0 || '/' || c1 || ' at ' || c2 FROM `+table+`
		WHERE c2 <= (SELECT last FROM occurrences WHERE job = c0 AND number = c1 AND at <= c2 ORDER BY at DESC LIMIT 1)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read the occurrences of %d times: %w", len(all), err)
	}
	for _, name := range names {
		known[name] = true
	}
	return known, nil
}

// runOf is a run of a time of a schedule.
type runOf struct {
	Schedule
	slot schedule.Slot
	run  string
}

// recordRuns stores the occurrences of runs.
func recordRuns(ctx context.Context, t *db.Tx, all []runOf) error {
	if len(all) == 0 {
		return nil
	}
	var jobs, results, whys, runs []string
	var numbers, at []int64
	for _, r := range all {
		jobs, numbers, at = append(jobs, r.Job), append(numbers, int64(r.Number)), append(at, db.Micros(r.slot.At))
		results, whys, runs = append(results, string(r.slot.Result)), append(whys, r.slot.Why), append(runs, r.run)
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: jobs}, db.Column{Numbers: numbers}, db.Column{Numbers: at}, db.Column{Texts: results}, db.Column{Texts: whys}, db.Column{Texts: runs})
	return t.Queue(ctx, db.Statement{What: fmt.Sprintf("store the occurrences of %d runs", len(all)), Args: args, Query: `INSERT INTO occurrences (job, number, at, last, count, result, why, run_id, nth)
		SELECT c0, c1, c2, c2, 1, c3, c4, c5, 0 FROM ` + table})
}

// neighbor is the newest occurrence of a schedule: what comes next may be equal to it.
type neighbor struct {
	result, why string
	nth         int64
	last        int64
}

func newest(ctx context.Context, t *db.Tx, s Schedule) (n neighbor, err error) {
	err = t.QueryRowContext(ctx, `SELECT result, why, nth, last FROM occurrences WHERE job = $1 AND number = $2 ORDER BY at DESC LIMIT 1`, s.Job, s.Number).
		Scan(&n.result, &n.why, &n.nth, &n.last)
	if errors.Is(err, sql.ErrNoRows) {
		return neighbor{}, nil
	}
	if err != nil {
		return n, fmt.Errorf("read the last occurrence of schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	return n, nil
}

// record stores occurrences without runs, the first one first. Those that are there already, because the clock was set
// back, stay as they are.
func record(ctx context.Context, t *db.Tx, s Schedule, slots []schedule.Slot) error {
	if len(slots) == 0 {
		return nil
	}
	before, err := newest(ctx, t, s)
	if err != nil {
		return err
	}
	var at, last, count, nth []int64
	var results, whys []string
	for _, slot := range slots {
		if before.last >= db.Micros(slot.At) {
			known, err := recorded(ctx, t, s, slot.At)
			if err != nil {
				return err
			}
			if known {
				continue
			}
		}
		if before.result == string(slot.Result) && before.why == slot.Why && before.nth > 0 {
			before.nth++
		} else {
			before.nth = 1
		}
		before.result, before.why = string(slot.Result), slot.Why
		at, last, count = append(at, db.Micros(slot.At)), append(last, db.Micros(slot.Last)), append(count, int64(slot.Count))
		nth, results, whys = append(nth, before.nth), append(results, before.result), append(whys, slot.Why)
	}
	if len(at) == 0 {
		return nil
	}
	from, args := t.Dialect.Table(3, db.Column{Numbers: at}, db.Column{Numbers: last}, db.Column{Numbers: count}, db.Column{Numbers: nth}, db.Column{Texts: results}, db.Column{Texts: whys})
	_, err = t.ExecContext(ctx, `INSERT INTO occurrences (job, number, at, last, count, nth, result, why, expire_from)
		SELECT $1, $2, c0, c1, c2, c3, c4, c5, c1 FROM `+from, append([]any{s.Job, s.Number}, args...)...)
	if err != nil {
		return fmt.Errorf("store %d occurrences of schedule %d of job %s: %w", len(at), s.Number, job.Quote(s.Job), err)
	}
	return merge(ctx, t, s, before.nth)
}

// merge joins the older ones of the last n occurrences, which are equal neighbors, once there are twice as many as are
// kept one by one.
func merge(ctx context.Context, t *db.Tx, s Schedule, n int64) error {
	if n < 2*schedule.MostEqual {
		return nil
	}
	wrong := func(err error) error {
		return fmt.Errorf("join equal occurrences of schedule %d of job %s: %w", s.Number, job.Quote(s.Job), err)
	}
	// Where the equal ones begin: a backfill may have made a run in between, whose row has the number 0.
	var begin, nth int64
	err := t.QueryRowContext(ctx, `SELECT at, nth FROM occurrences WHERE job = $1 AND number = $2 AND nth <= 1 ORDER BY at DESC LIMIT 1`, s.Job, s.Number).Scan(&begin, &nth)
	if err != nil {
		return wrong(err)
	}
	if nth == 0 {
		begin++
	}
	var rows, first, last, count int64
	err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM occurrences WHERE job = $1 AND number = $2 AND at >= $3`, s.Job, s.Number, begin).Scan(&rows)
	if err != nil {
		return wrong(err)
	}
	old := rows - schedule.MostEqual
	if old > 1 {
		err = t.QueryRowContext(ctx, `SELECT MIN(at), MAX(last), SUM(count) FROM (SELECT at, last, count FROM occurrences WHERE job = $1 AND number = $2 AND at >= $3 ORDER BY at LIMIT $4) AS old`,
			s.Job, s.Number, begin, old).Scan(&first, &last, &count)
		if err != nil {
			return wrong(err)
		}
		for _, one := range []struct {
			statement string
			args      []any
		}{
			{`DELETE FROM occurrences WHERE job = $1 AND number = $2 AND at > $3 AND at <= $4`, []any{first, last}},
			{`UPDATE occurrences SET last = $4, count = $5, nth = 1, expire_from = $4 WHERE job = $1 AND number = $2 AND at = $3`, []any{first, last, count}},
		} {
			if _, err := t.ExecContext(ctx, one.statement, append([]any{s.Job, s.Number}, one.args...)...); err != nil {
				return wrong(err)
			}
		}
		rows -= old - 1
	}
	// The newest one counts how many there are now.
	_, err = t.ExecContext(ctx, `UPDATE occurrences SET nth = $3 WHERE job = $1 AND number = $2 AND at = (SELECT MAX(at) FROM occurrences WHERE job = $1 AND number = $2)`, s.Job, s.Number, rows)
	if err != nil {
		return wrong(err)
	}
	return nil
}
