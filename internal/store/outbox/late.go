package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// A delivery of the late runs of a host is over when its last journal is complete and nothing more has
// arrived for a while. These limits bound it.
const (
	// lateQuietInterval is the time without another end after which a delivery is over.
	lateQuietInterval = 10 * time.Second
	// lateStallTimeout is the time after which the rest of an incomplete journal is not waited for.
	lateStallTimeout = 2 * time.Minute
	// lateReportTimeout is the time after which a delivery is reported even if it goes on.
	lateReportTimeout = 5 * time.Minute
)

// EndTime returns when a run ended, on the server's clock; zero if it has not ended, or if the time is
// not known.
func EndTime(run *job.Run, offset time.Duration, now time.Time) time.Time {
	if run.EndedAt == nil || !run.State.Terminal() {
		return time.Time{}
	}
	return job.ServerTime(*run.EndedAt, offset, now)
}

// markArrival returns how the end of a run became known, and marks the row of a run whose end was
// delivered late.
func markArrival(ctx context.Context, t *db.Tx, row *tables.RunRow, ended, now time.Time) (outbox.Arrival, error) {
	run := &row.Run
	if row.Late = false; !run.State.Terminal() {
		return outbox.InTime, nil
	}
	var followed, passed bool
	if run.State.EndedBadly() {
		var err error
		if followed, err = succeededSince(ctx, t, run.Job, run.StartAt, time.Time{}); err != nil {
			return outbox.InTime, err
		}
		if followed && !ended.IsZero() {
			from := db.Latest(ended.Add(-time.Microsecond), run.StartAt)
			if passed, err = succeededSince(ctx, t, run.Job, from, time.Time{}); err != nil {
				return outbox.InTime, err
			}
		}
	}
	arrival := outbox.ArrivalOf(ended, now, run.State, followed, passed)
	row.Late = arrival == outbox.DeliveredLate
	return arrival, nil
}

// lateHosts returns the query for the hosts whose delivery is over: no late run has reported since $1,
// and no journal of which something arrived since $3 is incomplete; or a late run waits since $2.
func lateHosts(d db.Dialect) string {
	return `SELECT host FROM runs AS l WHERE late = 1 GROUP BY host HAVING MIN(reported_at) <= $2 OR MAX(reported_at) <= $1
		AND NOT EXISTS (SELECT 1 FROM ` + d.RunsIndexedBy("runs_backlog") + ` WHERE backlog = 1 AND ended_at IS NULL AND host = l.host
			AND reported_at > $3)`
}

// lateRunsOf returns the query for the late runs of a host.
func lateRunsOf(d db.Dialect) string {
	return `SELECT id, job, attempt, state, start_at FROM ` + d.RunsIndexedBy("runs_late") + ` WHERE late = 1 AND host = $1 ORDER BY start_at, id` + d.Lock
}

// lateRun is a late run that is not reported yet.
type lateRun struct {
	id      string
	job     string
	attempt int
	state   job.State
	start   time.Time
}

// ReportLate stores the notifications of runs that hosts delivered late, for each host whose delivery is
// over: one entry of the event late for each job. If the run of a job that started last ended badly
// and no success followed, or if its success ends a failure that people know of, it also stores the
// entries that an end in time would have had.
func (s *Outbox) ReportLate(ctx context.Context, now time.Time) error {
	hosts, err := s.ReadTexts(ctx, lateHosts(s.Dialect),
		db.Micros(now.Add(-lateQuietInterval)), db.Micros(now.Add(-lateReportTimeout)), db.Micros(now.Add(-lateStallTimeout)))
	if err != nil {
		return fmt.Errorf("select hosts with late runs: %w", err)
	}
	var errs []error
	for _, host := range hosts {
		if err := s.Write(ctx, db.None, func(t *db.Tx) error { return reportLateOf(ctx, t, host, now) }); err != nil {
			errs = append(errs, fmt.Errorf("report the runs that host %s delivered late: %w", job.Quote(host), err))
		}
	}
	return errors.Join(errs...)
}

func reportLateOf(ctx context.Context, t *db.Tx, host string, now time.Time) error {
	late, err := lockLateRuns(ctx, t, host)
	if err != nil || len(late) == 0 { // another server was faster
		return err
	}
	ids := make([]string, len(late))
	var names []string
	counts, last := map[string]*api.LateRuns{}, map[string]lateRun{}
	for i, r := range late {
		ids[i] = r.id
		if counts[r.job] == nil {
			names = append(names, r.job)
			counts[r.job] = &api.LateRuns{Host: host}
		}
		counts[r.job].Add(r.start, r.state)
		if _, any := last[r.job]; !any || r.state == job.Succeeded || r.state.EndedBadly() {
			last[r.job] = r // they are in the order of starts
		}
	}
	var entries []outbox.Entry
	for _, name := range names {
		entries = append(entries, outbox.Entry{
			Kind: outbox.Notify, Run: last[name].id, Attempt: last[name].attempt, What: outbox.WhatLate, Severity: outbox.Info, Late: counts[name],
			Message: counts[name].Sentence(now) + ".", At: now,
		})
	}
	for _, name := range names {
		more, err := lateEnd(ctx, t, last[name].id, now)
		if err != nil {
			return err
		}
		entries = append(entries, more...)
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: ids})
	if _, err := t.ExecContext(ctx, `UPDATE runs SET late = 0 WHERE id IN (SELECT c0 FROM `+table+`)`, args...); err != nil {
		return err
	}
	return insertEntries(ctx, t, entries)
}

// lockLateRuns locks the late runs of a host, and returns them in the order of their starts.
func lockLateRuns(ctx context.Context, t *db.Tx, host string) ([]lateRun, error) {
	rows, err := t.QueryContext(ctx, lateRunsOf(t.Dialect), host)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var late []lateRun
	for rows.Next() {
		var r lateRun
		var start int64
		if err := rows.Scan(&r.id, &r.job, &r.attempt, &r.state, &start); err != nil {
			return nil, err
		}
		r.start = db.FromMicros(start)
		late = append(late, r)
	}
	return late, rows.Err()
}

// lateEnd returns the entries of the last late run of a job, beside that of the event late. A run whose
// row is damaged has none: it must not keep other runs from being reported.
func lateEnd(ctx context.Context, t *db.Tx, id string, now time.Time) ([]outbox.Entry, error) {
	row, err := tables.LockRun(ctx, t, id)
	var damaged *query.UnreadableError
	if errors.As(err, &damaged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	run := &row.Run
	switch {
	case run.State == job.Succeeded:
		entries, err := recoveredEntries(ctx, t, run, now)
		if err != nil {
			return nil, err
		}
		return ApplyPolicy(ctx, t, run.Job, entries)
	case !run.State.EndedBadly():
		return nil, nil
	}
	passed, err := succeededSince(ctx, t, run.Job, run.StartAt, time.Time{})
	if err != nil || passed {
		return nil, err
	}
	end := job.RunEvent{Kind: "state", To: string(run.State)}
	if run.Outcome != nil {
		end.Evidence = run.Outcome.Message
	}
	entries, err := ApplyPolicy(ctx, t, run.Job, outbox.Entries(run, []job.RunEvent{end}, now))
	return notifications(entries), err
}

// notifications returns the entries that are notifications.
func notifications(entries []outbox.Entry) []outbox.Entry {
	var out []outbox.Entry
	for _, e := range entries {
		if e.Kind == outbox.Notify {
			out = append(out, e)
		}
	}
	return out
}
