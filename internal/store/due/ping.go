package due

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// setPinged sets how an expectation is pinged.
func setPinged(ctx context.Context, t *db.Tx, row *tables.DueRow, set api.DueRequest) error {
	if set.PostOnly != nil {
		row.PostOnly = *set.PostOnly
	}
	if set.Labels != nil {
		if err := due.CheckLabels(set.Labels); err != nil {
			return err
		}
		row.Labels = nil // an empty map is stored as nil
		if len(set.Labels) > 0 {
			row.Labels = set.Labels
		}
	}
	if set.Slug != nil {
		if *set.Slug != "" {
			if err := due.CheckSlug(*set.Slug); err != nil {
				return err
			}
		}
		row.Slug = *set.Slug
	}
	if set.UUID == nil {
		return nil
	}
	id, err := due.CanonicalUUID(*set.UUID)
	if err != nil {
		return err
	}
	var other string
	err = t.QueryRowContext(ctx, `SELECT job FROM job_due WHERE uuid = $1 AND job <> $2`, id, row.Job).Scan(&other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		row.UUID = id
		return nil
	case err != nil:
		return fmt.Errorf("look for another expectation with the UUID: %w", err)
	}
	return &job.InvalidError{What: "uuid", Value: id, Why: "is that of the job " + job.Quote(other)}
}

// targetQuery selects what pings need of expectations.
const targetQuery = `SELECT d.job, d.every_seconds, d.cron, d.zone, d.grace_seconds, d.post_only, d.labels, COALESCE(p.failed, 0), COALESCE(p.reported_day, -1)
	FROM job_due d LEFT JOIN job_pulses p ON p.job = d.job WHERE `

// Queries for those with a UUID, and for those with a slug.
const (
	byUUID = targetQuery + `d.uuid = $1`
	bySlug = targetQuery + `d.slug = $1 UNION ALL ` + targetQuery + `d.job = $1 AND d.slug = '' LIMIT 2`
)

// TargetByUUID returns what is pinged with a UUID in lower case; ok is false if there is none.
func (s *Expectations) TargetByUUID(ctx context.Context, id string) (t due.Target, ok bool, err error) {
	found, err := s.targets(ctx, byUUID, id)
	if err != nil || len(found) == 0 {
		return t, false, err
	}
	return found[0], true, nil
}

// TargetsBySlug returns what is pinged with a slug: nothing, one, or two if there are several.
func (s *Expectations) TargetsBySlug(ctx context.Context, slug string) ([]due.Target, error) {
	return s.targets(ctx, bySlug, slug)
}

func (s *Expectations) targets(ctx context.Context, query, key string) ([]due.Target, error) {
	rows, err := s.Reader.QueryContext(ctx, query, key)
	if err != nil {
		return nil, fmt.Errorf("look up what is pinged: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []due.Target
	for rows.Next() {
		var one due.Target
		var e job.Expectation
		var post, failed int
		var labels string
		if err := rows.Scan(&one.Job, &e.EverySeconds, &e.Cron, &e.Zone, &e.GraceSeconds, &post, &labels, &failed, &one.ReportedDay); err != nil {
			return nil, fmt.Errorf("look up what is pinged: %w", err)
		}
		if one.Rule, err = due.Parse(e); err != nil {
			return nil, fmt.Errorf("the stored expectation of job %s: %w", job.Quote(one.Job), err)
		}
		if one.Labels, err = tables.DueLabels(one.Job, labels); err != nil {
			return nil, err
		}
		one.PostOnly, one.Failed = post == 1, failed == 1
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look up what is pinged: %w", err)
	}
	return all, nil
}

// MaxPulseBody is how many bytes of the body of a pulse are kept.
const MaxPulseBody = 10_000

// CountPulse counts a success of a job that is no run, and decides at once the due times for which it counts:
// later it is not known any more when it came. A job whose expectation was deleted is left alone.
func (s *Expectations) CountPulse(ctx context.Context, name string, body []byte, now time.Time) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		if err := tables.NoteStart(ctx, t, name, now, now); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `INSERT INTO job_pulses (job, times, last_at, body, failed, reported_day)
			SELECT job, 1, CAST($2 AS BIGINT), CAST($3 AS `+blob(t)+`), 0, -1 FROM job_due WHERE job = $1
			ON CONFLICT (job) DO UPDATE SET times = job_pulses.times + 1, last_at = $2, body = $3`,
			name, db.Micros(now), body[:min(len(body), MaxPulseBody)])
		if err != nil {
			return fmt.Errorf("count a ping of job %s: %w", job.Quote(name), err)
		}
		l := checker{t: t, now: now, back: now}
		if back := s.back.Load(); back != nil {
			l.back = *back
		}
		if err := t.QueryRowContext(ctx, watchedQuery).Scan(&l.watched); err != nil {
			return fmt.Errorf("read for how long it was looked which jobs are due: %w", err)
		}
		if err := l.check(ctx, name); err != nil {
			return err
		}
		return outbox.Enqueue(ctx, t, l.entries)
	})
}

// blob returns the type of bytes in the database.
func blob(t *db.Tx) string {
	if t.Dialect.Postgres {
		return "BYTEA"
	}
	return "BLOB"
}

// NoteReported notes that a ping became a run of a job: a success or a failure.
func (s *Expectations) NoteReported(ctx context.Context, name string, failed bool, now time.Time) error {
	day := due.DayOf(now)
	if failed {
		day = -1 // the next success is a change
	}
	return s.Change(ctx, "note what a ping of job "+job.Quote(name)+" reported", `INSERT INTO job_pulses (job, times, failed, reported_day)
		SELECT job, 0, CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM job_due WHERE job = $1
		ON CONFLICT (job) DO UPDATE SET failed = $2, reported_day = $3`, name, db.BoolToInt(failed), day)
}

// pulses returns the pings of a job that were counted; nil for none.
func (s *Expectations) pulses(ctx context.Context, name string) (*api.Pulses, error) {
	var p api.Pulses
	var at int64
	var body []byte
	err := s.Reader.QueryRowContext(ctx, `SELECT times, last_at, body FROM job_pulses WHERE job = $1 AND times > 0`, name).Scan(&p.Times, &at, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the pings of job %s: %w", job.Quote(name), err)
	}
	p.LastAt, p.Body = db.FromMicros(at), string(bytes.ToValidUTF8(body, []byte("\uFFFD")))
	return &p, nil
}
