package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// SetPriority ranks a run anew that waits in the queue, by another priority. The error is
// *query.NotFoundError, or *rules.ConflictError for a run that does not wait.
func (s *Queue) SetPriority(ctx context.Context, run string, p job.Priority) (job.Run, error) {
	if p.Weight() == 0 {
		return job.Run{}, &job.InvalidError{What: "priority", Value: string(p), Why: "is none of low, normal and high"}
	}
	var row tables.RunRow
	err := s.Write(ctx, db.Runs(run), func(t *db.Tx) (err error) {
		if row, err = tables.LockRun(ctx, t, run); err != nil {
			return err
		}
		w, err := scanWaiting(t.QueryRowContext(ctx, `SELECT `+waitingColumns+` WHERE e.run_id = $1 AND e.gate <> 'taken'`, run))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the entry of run %s: %w", run, err)
		}
		if err != nil || row.Run.Submitted == nil {
			return &rules.ConflictError{Why: fmt.Sprintf("run %s is %s and does not wait in the queue: its priority has no effect any more", run, row.Run.State)}
		}
		if _, err := t.ExecContext(ctx, `UPDATE submissions SET weight = $2 WHERE run_id = $1`, run, p.Weight()); err != nil {
			return fmt.Errorf("store the priority of run %s: %w", run, err)
		}
		submitted := *row.Run.Submitted
		submitted.Priority = p
		row.Run.Submitted = &submitted
		if err := tables.UpdateRun(ctx, t, &row); err != nil {
			return err
		}
		return rankAnew(ctx, t, w, p.Weight())
	})
	if err != nil {
		return job.Run{}, err
	}
	return s.ForReader(row.Run), nil
}

// rankAnew gives an entry the rank that it has if it joins its lane now.
func rankAnew(ctx context.Context, t *db.Tx, w waitingRow, weight int64) error {
	of := selectorRow{id: w.selector}
	if err := t.QueryRowContext(ctx, `SELECT virtual_time FROM queue_selectors WHERE id = $1`, w.selector).Scan(&of.virtual); err != nil {
		return fmt.Errorf("read the virtual time of the queue: %w", err)
	}
	// A lane of its own: the run overtakes others of its job, and many that are moved have no more than the
	// share of a lane.
	rank, err := nextRank(ctx, t, of, w.job+"\n"+string(priorityOf(weight)), weight)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE queue_entries SET rank = $2, weight = $3 WHERE run_id = $1`, w.run, rank, weight); err != nil {
		return fmt.Errorf("rank run %s anew: %w", w.run, err)
	}
	if w.gate != ready {
		return nil
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM queue_ready WHERE run_id = $1`, w.run); err != nil {
		return fmt.Errorf("rank run %s anew: %w", w.run, err)
	}
	return insertReady(ctx, t, w.run)
}

// ReleaseHeld lets the held runs of a job go on; of all jobs for "". It returns how many there were. After the database
// was restored, none starts before agents that live had time to report what they run.
func (s *Queue) ReleaseHeld(ctx context.Context, name string) (released int64, err error) {
	earliest, err := db.QueryNumbers(ctx, s.Reader, `SELECT COALESCE(restored_at, 0) FROM installation`)
	if err != nil {
		return 0, fmt.Errorf("read when the database was restored: %w", err)
	}
	if at := earliest[0]; at > 0 {
		earliest[0] = db.Micros(db.FromMicros(at).Add(rules.RestoredGrace))
	}
	last := ""
	for {
		ids, err := s.ReadTexts(ctx, `SELECT run_id FROM queue_entries WHERE held <> '' AND run_id > $1 AND ($2 = '' OR job = $2) ORDER BY run_id LIMIT $3`, last, name, matchBatch)
		if err != nil {
			return released, fmt.Errorf("read which runs are held: %w", err)
		}
		if len(ids) == 0 {
			return released, nil
		}
		last = ids[len(ids)-1]
		var n int64
		err = s.Write(ctx, db.None, func(t *db.Tx) error {
			n = 0
			own, err := lockEntries(ctx, t, ids, rules.Held)
			if err != nil {
				return err
			}
			for _, run := range own {
				if _, err := t.ExecContext(ctx, `UPDATE queue_entries SET held = '', not_before = CASE WHEN COALESCE(not_before, 0) < $2 THEN $2 ELSE not_before END WHERE run_id = $1`, run, earliest[0]); err != nil {
					return fmt.Errorf("release run %s: %w", run, err)
				}
				if err := admit(ctx, t, run, false); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return released, err
		}
		released += n
	}
}

// HoldAll holds every run of the queue until a person releases it, and why, also those that workers have: the caller
// ends their claims. It returns how many there are. The transaction has locked no run.
func HoldAll(ctx context.Context, t *db.Tx, why string) (held int64, err error) {
	if err := groups.Lock(ctx, t); err != nil {
		return 0, err
	}
	res, err := t.ExecContext(ctx, `UPDATE queue_entries SET held = CASE WHEN held = '' THEN $1 ELSE held END, gate = CAST($2 AS TEXT), `+waitStops, why, string(rules.Held), db.Micros(t.Now()))
	if err == nil {
		held, err = res.RowsAffected()
	}
	if err != nil {
		return 0, fmt.Errorf("hold the queue: %w", err)
	}
	// Afterwards, so that they see what transactions made ready for which the first statement waited.
	for _, statement := range []string{
		`DELETE FROM queue_ready`,
		`DELETE FROM queue_places WHERE until IS NULL AND run_id IN (SELECT run_id FROM queue_entries)`,
	} {
		if _, err := t.ExecContext(ctx, statement); err != nil {
			return 0, fmt.Errorf("hold the queue: %w", err)
		}
	}
	t.OnCommit(t.Signals.Match.Raise)
	return held, nil
}

// Hold keeps a run in the queue until a person releases it.
func Hold(ctx context.Context, t *db.Tx, run, why string) error {
	if _, err := t.ExecContext(ctx, `UPDATE queue_entries SET held = $2, gate = '`+string(rules.Held)+`', `+waitStops+` WHERE run_id = $1`, run, why, db.Micros(t.Now())); err != nil {
		return fmt.Errorf("hold run %s: %w", run, err)
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM queue_ready WHERE run_id = $1`, run); err != nil {
		return fmt.Errorf("hold run %s: %w", run, err)
	}
	return nil
}
