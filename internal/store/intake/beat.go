package intake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// beats applies the heartbeats of the group. Nearly all come from the owner of an active run; one
// statement renews the leases of all those. The others are applied one by one.
func (g *Group) beats(ctx context.Context, beats []lease.Beat) ([]lease.BeatResult, error) {
	out := make([]lease.BeatResult, len(beats))
	latest := map[tables.AttemptKey]lease.Beat{}
	suspends := map[string]bool{} // runs whose beats have to be taken one by one, in their order
	for _, b := range beats {
		suspends[b.Run] = suspends[b.Run] || b.Heartbeat.Suspended
	}
	for i, b := range beats {
		if err := index.CheckAddress(b.Run, b.Attempt); err != nil {
			out[i].Err = err
		} else if g.Runs[b.Run] == nil && !suspends[b.Run] { // else this group has the run's row, or needs it
			latest[tables.AttemptKey{Run: b.Run, Attempt: b.Attempt}] = b
		}
	}
	renewed, err := g.renew(ctx, latest, false)
	if err != nil {
		return nil, err
	}
	g.owners = renewed
	ownerOf := func(b lease.Beat) (owner, bool) {
		o, ok := renewed[tables.AttemptKey{Run: b.Run, Attempt: b.Attempt}]
		return o, ok && o.incarnation == b.Incarnation
	}
	missing := map[string]bool{}
	for i, b := range beats {
		if _, ok := ownerOf(b); !ok && out[i].Err == nil && g.Runs[b.Run] == nil {
			missing[b.Run] = true
		}
	}
	if len(missing) > 0 {
		if err := g.LoadRuns(ctx, slices.Sorted(maps.Keys(missing))); err != nil {
			return nil, err
		}
		if err := g.loadDeleted(ctx, missing); err != nil {
			return nil, err
		}
	}
	for i, b := range beats {
		if out[i].Err != nil {
			continue
		}
		if o, ok := ownerOf(b); ok {
			out[i] = lease.BeatResult{Known: true, Owner: true, Cancel: o.cancel}
			continue
		}
		if out[i], err = g.beat(ctx, b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// renew renews the leases of active runs by heartbeats of their owners. It returns the owners whose
// lease was renewed. It skips suspended runs, of which a heartbeat changes more, and heartbeats of a process whose attempt
// another process has the permit to start. If later is set, it skips heartbeats that are not newer than the row. A heartbeat
// that a server stores late, because it was stopped meanwhile, does not shorten the lease that another server has renewed.
func (g *Group) renew(ctx context.Context, beats map[tables.AttemptKey]lease.Beat, later bool) (map[tables.AttemptKey]owner, error) {
	renewed := make(map[tables.AttemptKey]owner, len(beats))
	if len(beats) == 0 {
		return renewed, nil
	}
	table, args := g.Tx.Dialect.Table(1, beatLists(beats)...)
	unless := ""
	if later {
		unless = " AND runs.reported_at < v.c2"
	}
	args = append(args, db.Micros(clock.LatestNow(g.Tx.Now())))
	overtaken := fmt.Sprintf("runs.reported_at > v.c2 AND runs.reported_at <= $%d", len(args)) // else by a clock that was ahead
	rows, err := g.Tx.QueryContext(ctx, `UPDATE runs SET reported_at = CASE WHEN `+overtaken+` THEN runs.reported_at ELSE v.c2 END,
			expires_at = CASE WHEN `+overtaken+` AND runs.expires_at > v.c4 THEN runs.expires_at ELSE v.c4 END,
			beat_at = v.c2, lease_us = v.c3, period_us = v.c5, beat = v.c6, disconnected_at = 0, backlog = 0
		FROM `+table+` WHERE runs.id = v.c0 AND runs.attempt = v.c1 AND runs.ended_at IS NULL AND runs.state NOT IN ('lost', 'retrying') AND runs.suspended = 0
			AND (v.c7 = '' OR NOT EXISTS (SELECT 1 FROM permits p WHERE p.run_id = v.c0 AND p.attempt = v.c1 AND p.incarnation <> v.c7))`+unless+`
		RETURNING runs.id, runs.attempt, runs.cancel`, args...)
	if err != nil {
		return nil, fmt.Errorf("renew %d leases: %w", len(beats), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var key tables.AttemptKey
		var text sql.NullString
		if err := rows.Scan(&key.Run, &key.Attempt, &text); err != nil {
			return nil, fmt.Errorf("renew %d leases: %w", len(beats), err)
		}
		o := owner{attempt: key.Attempt, incarnation: beats[key].Incarnation}
		if text.Valid {
			o.cancel = &job.Cancel{}
			if json.Unmarshal([]byte(text.String), o.cancel) != nil {
				continue // the run's document has it too, and is read then
			}
		}
		renewed[key] = o
	}
	return renewed, rows.Err()
}

// beatLists returns heartbeats as columns: run, attempt, time, length and end of the lease, period,
// the heartbeat as JSON, and the incarnation. They are sorted by run, so that all servers lock rows in the same order.
func beatLists(beats map[tables.AttemptKey]lease.Beat) []db.Column {
	columns := make([]db.Column, 8)
	add := func(column int, n int64) { columns[column].Numbers = append(columns[column].Numbers, n) }
	for _, key := range slices.SortedFunc(maps.Keys(beats), tables.CompareKeys) {
		b := beats[key]
		now := db.FromMicros(db.Micros(b.At))
		columns[0].Texts = append(columns[0].Texts, key.Run)
		add(1, int64(key.Attempt))
		add(2, db.Micros(now))
		add(3, b.Lease.Microseconds())
		add(4, db.Micros(now.Add(b.Lease)))
		add(5, beatPeriod(b.Heartbeat).Microseconds())
		columns[6].Texts = append(columns[6].Texts, lease.Encode(b.Heartbeat))
		columns[7].Texts = append(columns[7].Texts, b.Incarnation)
	}
	return columns
}

// beat applies one heartbeat. Its error is one of the database, which ends the group.
func (g *Group) beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error) {
	row, known := g.Runs[b.Run]
	if err := g.refused(b.Run); !known && err != nil {
		return lease.BeatResult{Err: err}, nil
	}
	now := db.FromMicros(db.Micros(b.At))
	events, err := g.recall(ctx, row, b.Attempt, b.Incarnation, now)
	if err != nil && !isTooEarly(err) {
		return lease.BeatResult{}, err
	}
	if !known || b.Attempt != row.Run.Attempt {
		return g.beatOfAnother(b, row), nil
	}
	other, err := g.isPermittedToAnother(ctx, row, b)
	if err != nil || other {
		return lease.BeatResult{Known: true}, err
	}
	return g.ownerBeat(ctx, b, row, events, now)
}

// isPermittedToAnother reports whether another process than the sender of a heartbeat has the permit to start the attempt:
// both have one where a database was restored from a copy that did not have the first.
func (g *Group) isPermittedToAnother(ctx context.Context, row *tables.RunRow, b lease.Beat) (bool, error) {
	if b.Incarnation == "" || !g.isSubmitted(row) {
		return false, nil
	}
	permitted, err := g.submissions.PermitOf(ctx, g.Tx, b.Run, b.Attempt)
	return permitted != "" && permitted != b.Incarnation, err
}

// ownerBeat applies one heartbeat of the attempt that a run shows. events are those of its recall.
func (g *Group) ownerBeat(ctx context.Context, b lease.Beat, row *tables.RunRow, events []job.RunEvent, now time.Time) (lease.BeatResult, error) {
	out := lease.BeatResult{Known: true, Owner: true, Cancel: row.Run.Cancel, Ended: row.Run.EndedAt != nil}
	if out.Ended {
		return g.beatAfterEnd(ctx, b, &row.Run, out)
	}
	row.Renew(now, b.Lease, clock.LatestNow(g.Tx.Now()))
	row.Run.LastHeartbeatAt, row.Period, row.Backlog = &now, beatPeriod(b.Heartbeat), false
	g.beatRuns[b.Run] = true
	if err := noteBeat(ctx, g.Tx, b); err != nil {
		return lease.BeatResult{}, err
	}
	if row.Run.State == job.Lost || waitsForNext(&row.Run) {
		attempt, err := g.Attempt(ctx, tables.AttemptKey{Run: b.Run, Attempt: b.Attempt})
		var bad *query.UnreadableError
		if errors.As(err, &bad) {
			return lease.BeatResult{Err: bad}, nil
		}
		if err != nil {
			return lease.BeatResult{}, err
		}
		if err := g.afterReturn(ctx, row); err != nil {
			return lease.BeatResult{}, err
		}
		row.WhenLost = diagnosisWhenLost(row)
		row.Run, events = revive(row.Run, &attempt.State, now, "The agent sent a heartbeat again.")
		if attempt.State.Known() { // else it was recalled, and its journal has not arrived
			row.Run = tables.WithCut(tables.WithAttempt(row.Run, &attempt.View), attempt.Cut)
		}
	}
	run, event := index.Suspend(row.Run, b.Heartbeat.Suspended, now)
	if event != nil {
		row.Run, events = run, append(events, *event)
	}
	if len(events) == 0 {
		return out, nil
	}
	if err := tables.InsertEvents(ctx, g.Tx, events); err != nil {
		return lease.BeatResult{}, err
	}
	if err := outbox.EnqueueChange(ctx, g.Tx, row, events, time.Time{}, now); err != nil {
		return lease.BeatResult{}, err
	}
	g.DirtyRuns[b.Run] = true
	changed := row.Run
	out.Run, out.Events = &changed, events
	return out, nil
}

// beatOfAnother returns the reply to a heartbeat of another attempt than the one that the run shows; row is
// nil for an unknown run.
func (g *Group) beatOfAnother(b lease.Beat, row *tables.RunRow) lease.BeatResult {
	switch {
	case row == nil: // its journal has not begun to arrive
		return lease.BeatResult{Owner: true}
	case b.Attempt < row.Run.Attempt:
		return lease.BeatResult{Known: true}
	case g.isSubmitted(row) && b.Incarnation == "": // no process has the permit to start it
		return lease.BeatResult{Known: true}
	case row.Run.State == job.Canceled: // before this attempt began, and its agent does not know yet
		return lease.BeatResult{Owner: true, Cancel: row.Run.Cancel}
	}
	return lease.BeatResult{Owner: true}
}

// beatAfterEnd returns the reply to an agent whose attempt has ended. If the agent waits for another
// attempt, the reply has the retry that was requested, if any.
func (g *Group) beatAfterEnd(ctx context.Context, b lease.Beat, run *job.Run, out lease.BeatResult) (lease.BeatResult, error) {
	if b.Heartbeat.WaitingMS <= 0 {
		return out, nil
	}
	if run.State != job.Canceled {
		out.Cancel = nil
	}
	longest := 31 * 24 * time.Hour
	wait := time.Duration(min(b.Heartbeat.WaitingMS, longest.Milliseconds())) * time.Millisecond
	var err error
	out.Retry, err = outbox.RecordWaitingAgent(ctx, g.Tx, run, b.At.Add(min(wait, b.Lease)))
	out.Ended = false // there are commands for it
	return out, err
}

// beatPeriod returns the period of the agent's heartbeats, at most a day.
func beatPeriod(h job.Heartbeat) time.Duration {
	const longest = 24 * time.Hour
	return time.Duration(min(max(h.PeriodMS, 0), longest.Milliseconds())) * time.Millisecond
}

// updateLease stores the lease of a run of which nothing else has changed.
func updateLease(ctx context.Context, t *db.Tx, row *tables.RunRow) error {
	_, err := t.ExecContext(ctx, `UPDATE runs SET reported_at = $2, beat_at = $3, lease_us = $4, expires_at = $5, period_us = $6, backlog = 0 WHERE id = $1`,
		row.Run.ID, db.Micros(row.ReportedAt), db.NullableMicros(row.Run.LastHeartbeatAt),
		row.Lease.Microseconds(), db.Micros(row.ExpiresAt), row.Period.Microseconds())
	if err != nil {
		return fmt.Errorf("store a heartbeat of run %s: %w", row.Run.ID, err)
	}
	return nil
}
