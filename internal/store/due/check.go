package due

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"stint.dev/stint/internal/due"
	entries "stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

const (
	interval = time.Second
	// lateAfter is how much longer the pause between two rounds may be. If it is longer, the process did not
	// run, or its clock was set, and starts may have been unnoticed.
	lateAfter = 3 * time.Second
	// storeInterval is how often the time that was watched is stored while nothing is due.
	storeInterval = 20 * time.Second
	// maxBatch is how many jobs one transaction looks at, and maxSteps how many due times of one of them.
	maxBatch = 100
	maxSteps = 1000
	// maxRound is how many jobs one round looks at.
	maxRound = 5000
	// maxSingle is how many due times that are missed one after the other have a row each.
	maxSingle    = 100
	secondsOfDay = 24 * 60 * 60
)

// RunDue looks each second at what is due, until ctx ends. changed is called when somebody is to be notified.
// Several servers may do this with one database.
func (s *Expectations) RunDue(ctx context.Context, log *slog.Logger, changed func()) {
	failures := periodic.Failures{Log: log, Failing: "it cannot be seen now which jobs have not started; none is called missed meanwhile", Working: "it is seen again which jobs have not started"}
	wall := func() time.Time { return s.Now().Round(0) } // without the monotonic clock, as the monitor
	periodic.Loop{Every: interval, Now: wall, Failures: failures}.Run(ctx, func(now time.Time) error {
		n, err := s.CheckDue(ctx, now)
		if n > 0 {
			changed()
		}
		return errors.Join(err, s.tidy(ctx, now))
	})
}

// dueQuery selects the jobs to look at, those first that have waited longest.
var dueQuery = `SELECT job FROM job_due WHERE check_at <= $1 AND` + troubled.NotPaused(troubled.Due, "job_due.job", 1) + ` ORDER BY check_at LIMIT $2`

// CheckDue is one round: it decides the due times that have come, and returns how many notifications it made.
func (s *Expectations) CheckDue(ctx context.Context, now time.Time) (notices int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.followClock(ctx, now); err != nil {
		return 0, err
	}
	names, err := s.ReadTexts(ctx, dueQuery, db.Micros(now), maxRound)
	if err != nil {
		return 0, fmt.Errorf("read which jobs are due: %w", err)
	}
	if len(names) == 0 && now.Sub(s.stored) < storeInterval {
		return 0, nil
	}
	if err := s.storeWatched(ctx, now); err != nil {
		return 0, err
	}
	slices.Sort(names) // all servers lock rows in this order
	for some := range slices.Chunk(names, maxBatch) {
		err := troubled.Isolate(ctx, s.DB, some, func(some []string) error {
			n, err := s.check(ctx, some, now)
			if err == nil {
				notices += n
				for _, name := range some {
					s.ClearFailure(ctx, troubled.Due, name)
				}
			}
			return err
		}, func(name string, err error) { s.RecordFailure(ctx, troubled.Due, name, err) })
		if err != nil {
			return notices, err
		}
	}
	return notices, nil
}

// followClock notices that this process did not look for a while, or that its clock was set.
func (s *Expectations) followClock(ctx context.Context, now time.Time) error {
	gap := now.Sub(s.checked)
	looks := s.back.Load() != nil
	if looks && gap >= -lateAfter && gap <= interval+lateAfter {
		s.checked = now
		return nil
	}
	if looks && gap < -lateAfter { // what is due was computed with times to come
		if err := s.Change(ctx, "look at all jobs that are due", `UPDATE job_due SET check_at = 0 WHERE check_at > 0`); err != nil {
			return err
		}
	}
	s.back.Store(&now)
	s.checked, s.stored = now, now
	return nil
}

// storeWatched adds the time since it was last stored to that for which some server has looked. Several
// servers that look at once count once.
func (s *Expectations) storeWatched(ctx context.Context, now time.Time) error {
	err := s.Change(ctx, "store for how long it was looked which jobs are due", `UPDATE due_watch SET
		watched_us = watched_us + CASE WHEN seen_at >= $1 THEN 0 WHEN seen_at > $2 THEN $1 - seen_at ELSE CAST($1 AS BIGINT) - CAST($2 AS BIGINT) END,
		seen_at = CASE WHEN seen_at > $1 AND seen_at < CAST($1 AS BIGINT) + 60000000 THEN seen_at ELSE $1 END WHERE id = 1`, db.Micros(now), db.Micros(s.stored))
	if err == nil {
		s.stored = now
	}
	return err
}

// check decides what has come of some jobs, in one transaction.
func (s *Expectations) check(ctx context.Context, names []string, now time.Time) (notices int, err error) {
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		l := checker{t: t, now: now, back: *s.back.Load()}
		if err := t.QueryRowContext(ctx, watchedQuery).Scan(&l.watched); err != nil {
			return fmt.Errorf("read for how long it was looked which jobs are due: %w", err)
		}
		for _, name := range names {
			if err := l.check(ctx, name); err != nil {
				return err
			}
		}
		notices = len(l.entries)
		return outbox.Enqueue(ctx, t, l.entries)
	})
	return notices, err
}

// watchedQuery selects for how long some server has looked.
const watchedQuery = `SELECT watched_us FROM due_watch WHERE id = 1`

// checker is one transaction.
type checker struct {
	t       *db.Tx
	now     time.Time
	back    time.Time // since when it was looked without interruption
	watched int64     // for how long in all
	entries []entries.Entry
}

// check decides the due times of a job that have come.
func (l *checker) check(ctx context.Context, name string) error {
	row, err := find(ctx, l.t, name, l.t.Dialect.Lock)
	var gone *query.NotFoundError
	switch {
	case errors.As(err, &gone):
		return nil
	case err != nil:
		return err
	case row.CheckAt.IsZero() || row.CheckAt.After(l.now) || row.Paused: // another server was faster
		return nil
	}
	rule, err := due.Parse(row.Expectation)
	if err != nil {
		return fmt.Errorf("the stored expectation of job %s: %w", job.Quote(name), err)
	}
	if row.Started.After(l.now.Add(lateAfter)) { // before the clock was set back
		row.Started = l.now
	}
	if row.Next.IsZero() {
		row.Next = rule.First(row.Started, l.now)
	}
	row.Next = rule.Reachable(row.Next, l.now)
	row.CheckAt = l.now // the next round goes on, if there are more due times
	for range maxSteps {
		if row.Next.IsZero() {
			row.CheckAt = time.Time{}
			break
		}
		waits, err := l.step(ctx, &row, rule)
		if err != nil {
			return err
		}
		if waits {
			break
		}
	}
	if err := l.recover(ctx, &row, rule); err != nil {
		return err
	}
	return tables.SaveDue(ctx, l.t, row)
}

// step decides one due time, or reports that the row waits for it.
func (l *checker) step(ctx context.Context, row *tables.DueRow, rule due.Rule) (waits bool, err error) {
	from, until := rule.Slot(row.Next)
	open := due.Open{Due: row.Next, Started: !row.Started.Before(from) && row.Started.Before(until)}
	start := row.Started
	if !open.Started && !row.Started.Before(until) { // it may have had a start before the last one
		if start, err = lastStart(ctx, l.t, row.Job, from, until); err != nil {
			return false, err
		}
		open.Started = !start.IsZero()
	}
	watch := due.Watch{Back: l.back}
	if !l.now.Before(row.Next) {
		if !row.Watched.Valid {
			row.Watched = db.NotNull(l.watched - l.now.Sub(db.Latest(row.Next, l.back)).Microseconds())
		}
		watch.Watched = time.Duration(l.watched-row.Watched.Int64) * time.Microsecond
	}
	if !l.now.Before(row.Next.Add(rule.Grace)) && !open.Started {
		if open.Active, err = l.active(ctx, row.Job); err != nil {
			return false, err
		}
	}
	verdict, at := rule.Judge(open, watch, l.now)
	switch verdict {
	case due.Wait:
		row.CheckAt = at
		return true, nil
	case due.Missed:
		err = l.miss(ctx, row, from, until)
		row.Next = rule.Following(row.Next)
	case due.Kept:
		err = l.keep(ctx, row)
		if open.Started {
			row.Next = rule.After(start)
		} else {
			row.Next = rule.Following(row.Next)
		}
	}
	row.Watched = sql.NullInt64{}
	return false, err
}

// activeQuery selects an active run of a job. A lost one is not active.
const activeQuery = `SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE job = $1 AND state IN ('starting', 'installing', 'running', 'stopping') LIMIT 1) AS active`

// active reports whether a run of a job is active.
func (l *checker) active(ctx context.Context, name string) (bool, error) {
	var n int
	if err := l.t.QueryRowContext(ctx, activeQuery, name).Scan(&n); err != nil {
		return false, fmt.Errorf("look for active runs of job %s: %w", job.Quote(name), err)
	}
	return n > 0, nil
}

// keep counts a due time that had a start.
func (l *checker) keep(ctx context.Context, row *tables.DueRow) error {
	_, err := l.t.ExecContext(ctx, `INSERT INTO job_due_days (job, day, kept) VALUES ($1, $2, 1)
		ON CONFLICT (job, day) DO UPDATE SET kept = job_due_days.kept + 1`, row.Job, row.Next.Unix()/secondsOfDay)
	if err != nil {
		return fmt.Errorf("count a start of job %s: %w", job.Quote(row.Job), err)
	}
	return nil
}

// miss stores a due time that was missed, and makes a notification of the first since the last start.
func (l *checker) miss(ctx context.Context, row *tables.DueRow, from, until time.Time) error {
	at := db.Micros(row.Next)
	query, args := `INSERT INTO job_due_missed_times (job, due_at, last_at, times, from_at, until_at, missed_at) VALUES ($1, $2, $2, 1, $3, $4, $5)
		ON CONFLICT (job, due_at) DO NOTHING`, []any{row.Job, at, db.Micros(from), db.Micros(until), db.Micros(l.now)}
	if row.MissedTimes > maxSingle {
		query, args = `UPDATE job_due_missed_times SET last_at = $2, until_at = $3, times = times + 1 WHERE job = $1
			AND due_at = (SELECT MAX(due_at) FROM job_due_missed_times WHERE job = $1)`, []any{row.Job, at, db.Micros(until)}
	}
	if _, err := l.t.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("store that job %s has not started: %w", job.Quote(row.Job), err)
	}
	row.MissedTimes, row.MissedLast = row.MissedTimes+1, row.Next
	if !row.MissedSince.IsZero() {
		return nil
	}
	row.MissedSince = row.Next
	return l.notify(ctx, row.Job, entries.Entry{What: entries.WhatMissed, Message: due.MissedText(row.Job, row.Next, row.Started)})
}

// recover makes a notification if a run has started since due times were missed.
func (l *checker) recover(ctx context.Context, row *tables.DueRow, rule due.Rule) error {
	if row.MissedSince.IsZero() {
		return nil
	}
	start := row.Started
	if from, _ := rule.Slot(row.MissedLast); start.Before(from) {
		active, err := l.active(ctx, row.Job)
		if err != nil || !active || !l.keptSince(row, rule) {
			return err
		}
		start = time.Time{}
	}
	text := due.StartedText(row.Job, start, row.MissedSince, row.MissedTimes)
	row.MissedSince, row.MissedLast, row.MissedTimes = time.Time{}, time.Time{}, 0
	return l.notify(ctx, row.Job, entries.Entry{What: entries.WhatRecovered, Ends: entries.WhatMissed, Message: text})
}

// keptSince reports whether a later due time than the last one that was missed was kept.
func (l *checker) keptSince(row *tables.DueRow, rule due.Rule) bool {
	return row.Next.After(rule.Following(row.MissedLast))
}

// notify adds a notification about a job, with its last run, unless the policy of the job mutes it.
func (l *checker) notify(ctx context.Context, name string, e entries.Entry) error {
	e.Kind, e.Job, e.Severity, e.At = entries.Notify, name, job.Critical, l.now
	var err error
	if e.Run, e.Attempt, err = tables.LastRun(ctx, l.t, name); err != nil {
		return err
	}
	left, err := outbox.ApplyPolicy(ctx, l.t, name, []entries.Entry{e})
	l.entries = append(l.entries, left...)
	return err
}
