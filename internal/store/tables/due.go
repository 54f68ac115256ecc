package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// DueRow is the expectation of a job as its table keeps it. Times that are not known are zero.
type DueRow struct {
	Job string
	job.Expectation
	UUID     string            // a secret by which it is pinged
	Slug     string            // a name by which it is pinged; empty for that of the job
	PostOnly bool              // pings count with the method POST only
	Labels   map[string]string // of the runs that pings make
	Paused   bool
	SetAt    time.Time
	SetBy    string
	Started  time.Time // the last start
	Next     time.Time // the first due time that is not decided
	// Watched is for how long servers had looked when Next had come; not valid before.
	Watched                 sql.NullInt64
	MissedSince, MissedLast time.Time // the due times that were missed since the last start
	MissedTimes             int64
	CheckAt                 time.Time // when to check at it; zero for when a run starts
}

// DueColumns are the columns of a DueRow.
const DueColumns = `job, every_seconds, cron, zone, grace_seconds, paused, set_at, set_by, started_at, next_at, watched_us,
	missed_since, missed_last, missed_times, check_at, uuid, slug, post_only, labels`

// ScanDue reads a row of DueColumns.
func ScanDue(from db.Scanner) (DueRow, error) {
	var r DueRow
	var set int64
	var paused, post int
	var labels string
	var started, next, since, last, check sql.NullInt64
	err := from.Scan(&r.Job, &r.EverySeconds, &r.Cron, &r.Zone, &r.GraceSeconds, &paused, &set, &r.SetBy, &started, &next, &r.Watched,
		&since, &last, &r.MissedTimes, &check, &r.UUID, &r.Slug, &post, &labels)
	if err != nil {
		return r, err
	}
	r.Paused, r.PostOnly, r.SetAt = paused == 1, post == 1, db.FromMicros(set)
	r.Started, r.Next, r.CheckAt = fromColumn(started), fromColumn(next), fromColumn(check)
	r.MissedSince, r.MissedLast = fromColumn(since), fromColumn(last)
	r.Labels, err = DueLabels(r.Job, labels)
	return r, err
}

// DueLabels returns the labels that the expectation of a job has in its column; nil for none.
func DueLabels(name, column string) (labels map[string]string, err error) {
	if column == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(column), &labels); err != nil {
		return nil, fmt.Errorf("the stored labels of the expectation of job %s: %w", job.Quote(name), err)
	}
	return labels, nil
}

// fromColumn returns a stored time; zero for NULL.
func fromColumn(at sql.NullInt64) time.Time {
	if !at.Valid {
		return time.Time{}
	}
	return db.FromMicros(at.Int64)
}

// toColumn returns a time as it is stored; NULL for zero.
func toColumn(at time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: db.Micros(at), Valid: !at.IsZero()}
}

// SaveDue stores a row, which may be new.
func SaveDue(ctx context.Context, t *db.Tx, r DueRow) error {
	labels := ""
	if len(r.Labels) > 0 {
		text, err := json.Marshal(r.Labels)
		if err != nil {
			return fmt.Errorf("encode the labels of the expectation of job %s: %w", job.Quote(r.Job), err)
		}
		labels = string(text)
	}
	_, err := t.ExecContext(ctx, `INSERT INTO job_due (`+DueColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT (job) DO UPDATE SET every_seconds = $2, cron = $3, zone = $4, grace_seconds = $5, paused = $6, set_at = $7, set_by = $8,
		started_at = $9, next_at = $10, watched_us = $11, missed_since = $12, missed_last = $13, missed_times = $14, check_at = $15,
		uuid = $16, slug = $17, post_only = $18, labels = $19`,
		r.Job, r.EverySeconds, r.Cron, r.Zone, r.GraceSeconds, db.BoolToInt(r.Paused), db.Micros(r.SetAt), r.SetBy, toColumn(r.Started), toColumn(r.Next), r.Watched,
		toColumn(r.MissedSince), toColumn(r.MissedLast), r.MissedTimes, toColumn(r.CheckAt), r.UUID, r.Slug, db.BoolToInt(r.PostOnly), labels)
	if err != nil {
		return fmt.Errorf("store when job %s is due: %w", job.Quote(r.Job), err)
	}
	return nil
}

// Show returns the expectation of the row and its state.
func (r DueRow) Show(now time.Time) *api.Due {
	out := &api.Due{
		Expectation: r.Expectation, State: due.StateOf(r.Paused, !r.MissedSince.IsZero(), r.Next, now),
		MissedTimes: r.MissedTimes, SetAt: r.SetAt, SetBy: r.SetBy, Labels: r.Labels,
	}
	if out.State == api.DueNew && !r.Started.IsZero() {
		out.State = api.DueOK // the first due time is computed in the next round
	}
	for _, one := range []struct {
		to *(*time.Time)
		at time.Time
	}{{&out.NextDueAt, r.Next}, {&out.MissedSince, r.MissedSince}, {&out.LastStartAt, r.Started}} {
		if !one.at.IsZero() {
			*one.to = &one.at
		}
	}
	if r.Next.IsZero() {
		return out
	}
	missed := r.CheckAt // of a row that is due: when the server judges it
	if now.Before(r.Next) || missed.Before(now) {
		missed = r.Next.Add(time.Duration(r.GraceSeconds) * time.Second)
	}
	out.MissedAt = &missed
	return out
}

// NoteStart records in the transaction in which a start of a job becomes known that it counts for what is due.
func NoteStart(ctx context.Context, t *db.Tx, name string, start, now time.Time) error {
	late := db.Statement{
		Query: `UPDATE job_due_missed_times SET started_at = $2, healed_at = $3
			WHERE job = $1 AND from_at <= $2 AND until_at > $2 AND times = 1 AND healed_at IS NULL`, Args: []any{name, db.Micros(start), db.Micros(now)},
		What: "note a late start of job " + job.Quote(name),
	}
	return t.Queue(ctx, db.Statement{
		Query: `UPDATE job_due SET check_at = CASE WHEN paused = 1 THEN NULL ELSE 0 END,
			started_at = CASE WHEN started_at >= $2 THEN started_at ELSE $2 END WHERE job = $1`, Args: []any{name, db.Micros(start)},
		What:  "note that job " + job.Quote(name) + " has started",
		Wrote: func() error { return t.Queue(ctx, late) },
	})
}
