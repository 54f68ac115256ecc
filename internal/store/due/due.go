// Package due keeps when jobs are expected to be started by somebody else, and looks whether they were.
package due

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Expectations are those of one database.
type Expectations struct {
	*db.DB
	*troubled.Items

	back    atomic.Pointer[time.Time] // since when this process looks without interruption; nil before the first round
	mu      sync.Mutex                // orders rounds of this process
	checked time.Time                 // of the last round
	stored  time.Time                 // when the time that was watched was last stored
	tidied  time.Time
}

// New returns the expectations of a database.
func New(d *db.DB, items *troubled.Items) *Expectations { return &Expectations{DB: d, Items: items} }

func missing(name string) error {
	return &query.NotFoundError{What: "an expectation of job " + job.Quote(name)}
}

// find reads the row of a job, or returns *query.NotFoundError. lock is the end of the query.
func find(ctx context.Context, from db.RowQuerier, name, lock string) (tables.DueRow, error) {
	if job.CheckName(name) != nil {
		return tables.DueRow{}, missing(name)
	}
	row, err := tables.ScanDue(from.QueryRowContext(ctx, `SELECT `+tables.DueColumns+` FROM job_due WHERE job = $1`+lock, name))
	if errors.Is(err, sql.ErrNoRows) {
		return row, missing(name)
	}
	if err != nil {
		return row, fmt.Errorf("read when job %s is due: %w", job.Quote(name), err)
	}
	return row, nil
}

// JobDue returns the expectation of a job, with what was missed and kept lately, or *query.NotFoundError.
func (s *Expectations) JobDue(ctx context.Context, name string, now time.Time) (api.JobDue, error) {
	row, err := find(ctx, s.Reader, name, "")
	if err != nil {
		return api.JobDue{}, err
	}
	out := api.JobDue{Due: *row.Show(now), PingURL: "/ping/" + row.UUID, Slug: cmp.Or(row.Slug, name), PostOnly: row.PostOnly}
	if out.Pulses, err = s.pulses(ctx, name); err != nil {
		return out, err
	}
	if out.Missed, err = s.missedTimes(ctx, `ORDER BY due_at DESC LIMIT $2`, name, maxShown); err != nil {
		return out, fmt.Errorf("read what job %s missed: %w", job.Quote(name), err)
	}
	if out.Days, err = s.days(ctx, `ORDER BY day DESC LIMIT $2`, name, maxShown); err != nil {
		return out, fmt.Errorf("count the starts of job %s: %w", job.Quote(name), err)
	}
	return out, nil
}

// maxShown is how many due times, and how many days, JobDue returns.
const maxShown = 100

// missedTimes returns due times of a job that were missed. more is the end of the query; the first of its arguments is the
// job.
func (s *Expectations) missedTimes(ctx context.Context, more string, args ...any) ([]api.MissedTime, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT due_at, last_at, times, missed_at, started_at, healed_at FROM job_due_missed_times
		WHERE job = $1 `+more, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []api.MissedTime{}
	for rows.Next() {
		var m api.MissedTime
		var at, last, missed int64
		var started, healed sql.NullInt64
		if err := rows.Scan(&at, &last, &m.Times, &missed, &started, &healed); err != nil {
			return nil, err
		}
		m.DueAt, m.LastAt, m.MissedAt = db.FromMicros(at), db.FromMicros(last), db.FromMicros(missed)
		m.StartedAt, m.HealedAt = db.FromNullableMicros(started), db.FromNullableMicros(healed)
		all = append(all, m)
	}
	return all, rows.Err()
}

// days returns how many due times of days had a start. more is the end of the query; the first of its arguments is the job.
func (s *Expectations) days(ctx context.Context, more string, args ...any) ([]api.KeptDay, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT day, kept FROM job_due_days WHERE job = $1 `+more, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := []api.KeptDay{}
	for rows.Next() {
		var day, kept int64
		if err := rows.Scan(&day, &kept); err != nil {
			return nil, err
		}
		all = append(all, api.KeptDay{Day: time.Unix(day*secondsOfDay, 0).UTC().Format(time.DateOnly), Kept: kept})
	}
	return all, rows.Err()
}

// SetDue sets the expectation of a job. It stays paused if it is. The error is *job.InvalidError if it is
// not valid.
func (s *Expectations) SetDue(ctx context.Context, name string, e job.Expectation, by string, now time.Time) error {
	return s.PutDue(ctx, name, api.DueRequest{Expectation: e}, by, now)
}

// PutDue is SetDue that may also set how the expectation is pinged.
func (s *Expectations) PutDue(ctx context.Context, name string, set api.DueRequest, by string, now time.Time) error {
	if err := job.CheckName(name); err != nil {
		return err
	}
	return s.Write(ctx, db.None, func(t *db.Tx) error { return s.putDueIn(ctx, t, name, set, by, now) })
}

// SetDueIn is SetDue in a transaction, for a valid name.
func (s *Expectations) SetDueIn(ctx context.Context, t *db.Tx, name string, e job.Expectation, by string, now time.Time) error {
	return s.putDueIn(ctx, t, name, api.DueRequest{Expectation: e}, by, now)
}

func (*Expectations) putDueIn(ctx context.Context, t *db.Tx, name string, set api.DueRequest, by string, now time.Time) error {
	e := set.Expectation
	rule, err := due.Parse(e)
	if err != nil {
		return err
	}
	e = rule.Expectation()
	row, err := find(ctx, t, name, t.Dialect.Lock)
	var none *query.NotFoundError
	switch {
	case errors.As(err, &none):
		row = tables.DueRow{Job: name, UUID: uuid.NewString()}
		if row.Started, err = lastStart(ctx, t, name, time.Unix(0, 0), now.Add(time.Microsecond)); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	before := row
	if err := setPinged(ctx, t, &row, set); err != nil {
		return err
	}
	if row.Expectation == e { // its due times go on
		if reflect.DeepEqual(row, before) {
			return nil
		}
		return tables.SaveDue(ctx, t, row)
	}
	row.Expectation, row.SetAt, row.SetBy = e, now, index.CleanText(by, 200)
	return tables.SaveDue(ctx, t, begin(row, rule, now))
}

// begin returns a row whose due times begin now: those before are not missed any more.
func begin(row tables.DueRow, rule due.Rule, now time.Time) tables.DueRow {
	row.Next, row.CheckAt, row.Watched = time.Time{}, time.Time{}, sql.NullInt64{}
	row.MissedSince, row.MissedLast, row.MissedTimes = time.Time{}, time.Time{}, 0
	if !row.Paused && !row.Started.IsZero() {
		row.Next = rule.First(row.Started, now)
		row.CheckAt = row.Next
	}
	return row
}

// lastStart returns the last start of a job in a span of time; zero if there is none.
func lastStart(ctx context.Context, q db.RowQuerier, name string, from, until time.Time) (time.Time, error) {
	var at int64
	err := q.QueryRowContext(ctx, lastStartQuery, name, db.Micros(from), db.Micros(until)).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("find the last start of job %s: %w", job.Quote(name), err)
	}
	return db.FromMicros(at), nil
}

// lastStartQuery does not count queued runs, which have no attempt.
const lastStartQuery = `SELECT start_at FROM runs WHERE job = $1 AND start_at >= $2 AND start_at < $3 AND attempt > 0
	ORDER BY start_at DESC, id DESC LIMIT 1`

// PauseDue pauses or resumes the expectation of a job. What was due while it was paused is not missed.
func (s *Expectations) PauseDue(ctx context.Context, name string, paused bool, now time.Time) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		row, err := find(ctx, t, name, t.Dialect.Lock)
		if err != nil || row.Paused == paused {
			return err
		}
		rule, err := due.Parse(row.Expectation)
		if err != nil {
			return err
		}
		row.Paused = paused
		return tables.SaveDue(ctx, t, begin(row, rule, now))
	})
}

// DeleteDue deletes the expectation of a job, and what else is stored for it if it has no run.
func (s *Expectations) DeleteDue(ctx context.Context, name string) error {
	if job.CheckName(name) != nil {
		return missing(name)
	}
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := tables.LockJob(ctx, t, name); err != nil { // before its expectation, as an append does
			return err
		}
		res, err := t.ExecContext(ctx, `DELETE FROM job_due WHERE job = $1`, name)
		if err != nil {
			return fmt.Errorf("delete when job %s is due: %w", job.Quote(name), err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, missing(name))
		}
		return tables.DeleteUnusedJob(ctx, t, name)
	})
}
