package matcher

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// batch is how many rows one step of the matcher reads.
const batch = 200

// expire ends runs that had to start by now. One that a worker has claimed may start all the same.
func (m *Matcher) expire(ctx context.Context, changed func(job.Run)) error {
	for {
		now := db.Micros(m.Now())
		ids, err := m.ReadTexts(ctx, `SELECT run_id FROM queue_entries WHERE start_by <= $1 AND gate <> 'taken' ORDER BY start_by LIMIT $2`, now, batch)
		if err != nil {
			return fmt.Errorf("read which runs had to start: %w", err)
		}
		ended := 0
		for _, id := range ids {
			done, err := m.end(ctx, id, `start_by <= $2`, []any{now}, job.Expired, rules.Expired, changed)
			if err != nil {
				return err
			}
			if done {
				ended++
			}
		}
		if ended == 0 || len(ids) < batch {
			return nil
		}
	}
}

// endDependencies judges the dependencies on runs that have ended. The ends that this server committed are
// known; sweep finds all others.
func (m *Matcher) endDependencies(ctx context.Context, sweep bool, changed func(job.Run)) error {
	ended := m.Signals.TakeEnded()
	if sweep {
		found, err := m.ReadTexts(ctx, `SELECT DISTINCT a.needs FROM queue_after a LEFT JOIN runs r ON r.id = a.needs
			WHERE r.id IS NULL OR r.state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost')`)
		if err != nil {
			return fmt.Errorf("read which runs others waited for: %w", err)
		}
		ended = append(ended, found...)
	}
	for i, id := range ended {
		if err := m.endDependency(ctx, id, changed); err != nil {
			m.Signals.AddEnded(ended[i:]...) // for the next round
			return err
		}
	}
	return nil
}

// endDependency judges the dependencies on one run.
func (m *Matcher) endDependency(ctx context.Context, needed string, changed func(job.Run)) error {
	for {
		var state string
		err := m.Writer.QueryRowContext(ctx, `SELECT state FROM runs WHERE id = $1`, needed).Scan(&state)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read run %s, for which others wait: %w", needed, err)
		}
		waiting, err := m.waitingFor(ctx, needed)
		if err != nil || len(waiting) == 0 {
			return err
		}
		var met []string
		done := 0
		for run, how := range waiting {
			switch rules.Judge(how, job.State(state)) {
			case rules.Waiting:
			case rules.Met:
				met = append(met, run)
			case rules.Impossible:
				why := rules.Why(job.Dependency{Run: needed, When: how}, job.State(state))
				ended, err := m.end(ctx, run, `EXISTS (SELECT 1 FROM queue_after a WHERE a.run_id = e.run_id AND a.needs = $2)`, []any{needed}, job.DependencyEnd, why, changed)
				if err != nil {
					return err
				}
				if ended {
					done++
				}
			}
		}
		if len(met) > 0 {
			if err := m.Write(ctx, db.None, func(t *db.Tx) error { return queue.Met(ctx, t, needed, met) }); err != nil {
				return err
			}
		}
		if done+len(met) == 0 || len(waiting) < batch {
			return nil
		}
	}
}

// waitingFor returns how runs wait for another one, a batch of them.
func (m *Matcher) waitingFor(ctx context.Context, needed string) (map[string]string, error) {
	rows, err := m.Reader.QueryContext(ctx, `SELECT run_id, how FROM queue_after WHERE needs = $1 ORDER BY run_id LIMIT $2`, needed, batch)
	if err != nil {
		return nil, fmt.Errorf("read what waits for run %s: %w", needed, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	waiting := map[string]string{}
	for rows.Next() {
		var run, how string
		if err := rows.Scan(&run, &how); err != nil {
			return nil, fmt.Errorf("read what waits for run %s: %w", needed, err)
		}
		waiting[run] = how
	}
	return waiting, rows.Err()
}

// end ends a run that waits, and whose entry e still matches a condition, whose arguments begin with $2. It
// reports whether it did.
func (m *Matcher) end(ctx context.Context, id, which string, args []any, reason job.Reason, why string, changed func(job.Run)) (bool, error) {
	var ended *job.Run
	err := m.Write(ctx, db.Runs(id), func(t *db.Tx) error {
		ended = nil
		row, err := tables.LockRun(ctx, t, id)
		var none *query.NotFoundError
		if errors.As(err, &none) {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM queue_entries e WHERE run_id = $1 AND gate <> 'taken' AND `+which, append([]any{id}, args...)...).Scan(&n)
		if err != nil || n == 0 {
			return err
		}
		events, err := endWaiting(&row, reason, why, db.FromMicros(db.Micros(t.Now())))
		if err != nil {
			return err
		}
		if err := outbox.SaveChange(ctx, t, &row, events, t.Now()); err != nil {
			return err
		}
		run := row.Run
		ended = &run
		return queue.Leave(ctx, t, id) // a first attempt without a claim has no place
	})
	if err != nil {
		return false, fmt.Errorf("end run %s, which waits in the queue: %w", id, err)
	}
	if ended != nil && changed != nil {
		changed(*ended)
	}
	return ended != nil, nil
}

// endWaiting ends a run as canceled that waits for a start. One that has ended another way, which the queue did
// not notice, stays as it is.
func endWaiting(row *tables.RunRow, reason job.Reason, why string, now time.Time) ([]job.RunEvent, error) {
	run := row.Run
	if run.State != job.Queued && run.State != job.Retrying {
		return nil, nil
	}
	evidence := "Not started: " + why + "."
	if s := run.Submitted; reason == job.Expired && s != nil && s.StartBy != nil {
		evidence = "Not started: " + why + ". It had to start by " + job.TimeText(*s.StartBy) + "."
	}
	run, event, err := index.Move(run, job.Event{Kind: job.Ended, State: job.Canceled}, now, index.ServerClock, evidence)
	if err != nil || event == nil {
		return nil, err
	}
	run.EndedAt = &now
	run.Outcome = &job.Outcome{State: job.Canceled, Reason: reason, Message: evidence}
	if run.Submitted != nil {
		s := *run.Submitted
		s.Reason = why
		run.Submitted = &s
	}
	row.Run = run
	return []job.RunEvent{*event}, nil
}
