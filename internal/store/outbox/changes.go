package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// EnqueueChange stores the outbox rows that a change of a run asks for, and sets row.Late; the caller
// stores the row. Ended is when the run ended, on the server's clock; zero if it ends now, or has not
// ended. An end that was delivered late waits for what else its host delivers: then ReportLate decides
// what people are notified of.
func EnqueueChange(ctx context.Context, t *db.Tx, row *tables.RunRow, events []job.RunEvent, ended, now time.Time) error {
	if len(events) == 0 || outbox.StillLost(events) {
		return nil
	}
	run := &row.Run
	if run.State.Terminal() {
		if err := queue.Ended(ctx, t, run.ID); err != nil {
			return err
		}
	}
	entries, err := withoutHealed(ctx, t, row, outbox.Entries(run, events, now), now)
	if err != nil {
		return err
	}
	if row.Waited != nil && run.State.Active() {
		entries = append(entries, outbox.StartedEntry(run, *row.Waited, now))
		row.Waited = nil
	}
	arrival, err := markArrival(ctx, t, row, ended, now)
	if err != nil {
		return err
	}
	late := arrival == outbox.DeliveredLate
	if endsIn(events, job.Succeeded) {
		good, err := successEntries(ctx, t, run, late, now)
		if err != nil {
			return err
		}
		entries = append(entries, good...)
	}
	if entries, err = ApplyPolicy(ctx, t, run.Job, entries); err != nil {
		return err
	}
	switch {
	case late:
		entries = withoutAlarms(entries)
	case arrival == outbox.Overtaken && endsIn(events, run.State):
		entries = append(entries, outbox.OvertakenEntry(run, now))
	}
	return insertEntries(ctx, t, entries)
}

// EnqueueVerdict stores the outbox rows that a verdict on a run asks for, and sets row.Late; the caller
// stores the row. A run that is called lost while its journal is delivered late, as by a flush that
// stalls, was lost before: it is reported with what else its host delivers.
func EnqueueVerdict(ctx context.Context, t *db.Tx, row *tables.RunRow, v lease.Verdict) error {
	if !v.Lost {
		return insertEntries(ctx, t, v.Outbox)
	}
	if err := queue.Ended(ctx, t, row.Run.ID); err != nil {
		return err
	}
	if row.Backlog {
		row.Late = true
		return insertEntries(ctx, t, withoutAlarms(v.Outbox))
	}
	arrival, err := markArrival(ctx, t, row, time.Time{}, v.At)
	if err != nil {
		return err
	}
	entries := v.Outbox
	if arrival == outbox.Overtaken {
		entries = append(slices.Clone(entries), outbox.OvertakenEntry(&row.Run, v.At))
	}
	return insertEntries(ctx, t, entries)
}

// Enqueue stores notifications in the transaction of what caused them.
func Enqueue(ctx context.Context, t *db.Tx, entries []outbox.Entry) error {
	return insertEntries(ctx, t, entries)
}

// withoutAlarms returns entries without the notifications of bad ends.
func withoutAlarms(entries []outbox.Entry) []outbox.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e outbox.Entry) bool {
		return e.Kind == outbox.Notify && job.State(e.What).EndedBadly()
	})
}

// endsIn reports whether the last event is the end of the run in a state.
func endsIn(events []job.RunEvent, state job.State) bool {
	last := events[len(events)-1]
	return last.Kind == "state" && last.To == string(state)
}

// withoutHealed returns entries without the one that says that a lost run reported again, if nobody
// was notified that it was lost: the notification still waits, and is withdrawn here, or the loss was
// part of a late delivery.
func withoutHealed(ctx context.Context, t *db.Tx, row *tables.RunRow, entries []outbox.Entry, now time.Time) ([]outbox.Entry, error) {
	at := slices.IndexFunc(entries, func(e outbox.Entry) bool { return e.What == outbox.WhatHealed })
	if at < 0 {
		return entries, nil
	}
	withdrawn, err := Withdraw(ctx, t, row.Run.ID, row.Run.Attempt, "the agent reported again", now)
	if err != nil {
		return nil, err
	}
	unknown := withdrawn || row.Late
	if !unknown && row.Backlog {
		notified, err := notifiedOfLoss(ctx, t, &row.Run)
		if err != nil {
			return nil, err
		}
		unknown = !notified
	}
	if unknown {
		entries = slices.Delete(entries, at, at+1)
	}
	return entries, nil
}

// notifiedOfLoss reports whether people were or will be notified that the attempt of a run was lost.
func notifiedOfLoss(ctx context.Context, t *db.Tx, run *job.Run) (bool, error) {
	var n int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE run_id = $1 AND attempt = $2
		AND kind = 'notify' AND what = 'lost' AND status <> 'dropped' LIMIT 1) AS notified`, run.ID, run.Attempt).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read the notifications of run %s: %w", run.ID, err)
	}
	return n > 0, nil
}

// successEntries returns the entries of a success: that a failure has passed, or the success itself, if
// a route takes every success. For a run that was delivered late the first is decided by ReportLate.
func successEntries(ctx context.Context, t *db.Tx, run *job.Run, late bool, now time.Time) ([]outbox.Entry, error) {
	if run.Attempt > 1 {
		var n int
		err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE run_id = $1
			AND what IN ('failed', 'timed_out', 'lost') AND status <> 'dropped' LIMIT 1) AS notified`, run.ID).Scan(&n)
		if err != nil {
			return nil, fmt.Errorf("read the notifications of run %s: %w", run.ID, err)
		}
		if n > 0 {
			return []outbox.Entry{outbox.RecoveredEntry(run, fmt.Sprintf("attempt %d had not", run.Attempt-1), now)}, nil
		}
	}
	if !late {
		recovered, err := recoveredEntries(ctx, t, run, now)
		if err != nil || len(recovered) > 0 {
			return recovered, err
		}
	}
	wanted, err := t.Once(ctx, `SELECT 1 FROM routes WHERE events LIKE '%,succeeded,%' LIMIT 1`)
	if err != nil {
		return nil, fmt.Errorf("read the routes of successes: %w", err)
	}
	if !wanted {
		return nil, nil
	}
	return []outbox.Entry{{
		Kind: outbox.Notify, Run: run.ID, Attempt: run.Attempt, What: outbox.WhatSucceeded, Severity: outbox.Info,
		Message: run.Outcome.Message, At: now,
	}}, nil
}

// recoveredEntries returns the entry for a failure that passes with the success of a run; none if there
// is no such failure, or people were not notified of it. It withdraws the notifications of failures
// that have not been sent.
func recoveredEntries(ctx context.Context, t *db.Tx, run *job.Run, now time.Time) ([]outbox.Entry, error) {
	failures, err := openFailures(ctx, t, run)
	if err != nil {
		return nil, err
	}
	for _, failure := range failures {
		withdrawn, err := Withdraw(ctx, t, failure.Run, failure.Attempt, "a later run of the job succeeded", now)
		if err != nil {
			return nil, err
		}
		if !withdrawn {
			return []outbox.Entry{outbox.RecoveredEntry(run, fmt.Sprintf("run #%d had not", failure.Number), now)}, nil
		}
	}
	return nil, nil
}

// failedBefore counts those of runsBefore that have ended badly: of most jobs none, whatever its window, which is found
// without reading the window. runsBefore selects the last 50 runs of a job that started before one of them, off an index
// and without sorting. passedAfter selects when the last success became known of the runs that started after it, of
// at most 50: a job with more runs at once is no series of runs.
const (
	failedBefore = `SELECT CASE WHEN EXISTS (SELECT 1 FROM runs WHERE job = $1 AND state = 'failed' AND (start_at, id) < (CAST($2 AS BIGINT), $3))
		OR EXISTS (SELECT 1 FROM runs WHERE job = $1 AND state = 'timed_out' AND (start_at, id) < (CAST($2 AS BIGINT), $3))
		OR EXISTS (SELECT 1 FROM runs WHERE job = $1 AND state = 'lost' AND (start_at, id) < (CAST($2 AS BIGINT), $3))
		THEN (SELECT COUNT(*) FROM (SELECT state FROM runs WHERE job = $1 AND (start_at, id) < (CAST($2 AS BIGINT), $3) ORDER BY start_at DESC, id DESC LIMIT 50) AS before
			WHERE state IN ('failed', 'timed_out', 'lost')) ELSE 0 END`
	runsBefore = `SELECT id, attempt, number, state, COALESCE(end_known_at, 0), late FROM runs
		WHERE job = $1 AND (start_at, id) < (CAST($2 AS BIGINT), $3) ORDER BY start_at DESC, id DESC LIMIT 50`
	passedAfter = `SELECT COALESCE(MAX(known), 0) FROM (SELECT end_known_at AS known FROM runs
		WHERE job = $1 AND state = 'succeeded' AND (start_at, id) > (CAST($2 AS BIGINT), $3) AND late = 0 ORDER BY start_at DESC, id DESC LIMIT 50) AS after`
)

// openFailures returns the failures of a job before a run that had not passed when it succeeded, the
// last one first.
func openFailures(ctx context.Context, t *db.Tx, run *job.Run) ([]outbox.End, error) {
	at := []any{run.Job, db.Micros(run.StartAt), run.ID}
	var passed, failed int64
	if err := t.ReadRow(ctx, failedBefore, at, &failed); err != nil {
		return nil, fmt.Errorf("failures before run %s: %w", run.ID, err)
	}
	if failed == 0 {
		return nil, nil
	}
	if err := t.QueryRowContext(ctx, passedAfter, at...).Scan(&passed); err != nil {
		return nil, fmt.Errorf("successes after run %s: %w", run.ID, err)
	}
	rows, err := t.QueryContext(ctx, runsBefore, at...)
	if err != nil {
		return nil, fmt.Errorf("runs before run %s: %w", run.ID, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var ends []outbox.End
	for rows.Next() {
		var e outbox.End
		var known int64
		var late int
		if err := rows.Scan(&e.Run, &e.Attempt, &e.Number, &e.State, &known, &late); err != nil {
			return nil, fmt.Errorf("runs before run %s: %w", run.ID, err)
		}
		e.KnownAt, e.Late = db.FromMicros(known), late == 1
		ends = append(ends, e)
	}
	return outbox.OpenFailures(ends, db.FromMicros(passed)), rows.Err()
}

// SucceededSince reports whether a run of a job that started after a time succeeded, and the success
// became known at the time known or later; zero for any time.
func (s *Outbox) SucceededSince(ctx context.Context, name string, after, known time.Time) (bool, error) {
	return succeededSince(ctx, s.Reader, name, after, known)
}

// succeededAfter selects successes of a job off an index.
const succeededAfter = `SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE job = $1 AND state = 'succeeded'
	AND start_at > CAST($2 AS BIGINT) AND COALESCE(end_known_at, 0) >= CAST($3 AS BIGINT) LIMIT 1) AS later`

func succeededSince(ctx context.Context, from db.RowQuerier, name string, after, known time.Time) (bool, error) {
	var n int
	err := from.QueryRowContext(ctx, succeededAfter, name, db.Micros(after), db.Micros(known)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("later runs of job %s: %w", name, err)
	}
	return n > 0, nil
}
