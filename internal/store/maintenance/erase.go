package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// EraseRun deletes an ended run because by asked for it, and returns when. From the commit on the run is gone for readers,
// and nothing of it is taken any more; the rest of its rows is deleted before EraseRun returns, unless ctx ends, and its bytes
// by Maintain. The error is *query.ActiveRunError, *query.DeletedRunError or *query.NotFoundError, or one of the database.
func (s *Maintenance) EraseRun(ctx context.Context, id, by string) (at time.Time, err error) {
	at = db.FromMicros(db.Micros(s.Now()))
	err = s.Write(ctx, db.Runs(id), func(t *db.Tx) error { return eraseRow(ctx, t, id, by, at) })
	if err != nil {
		return at, err
	}
	if err := s.eraseRest(ctx, id); err != nil {
		s.Log.Warn("a run was deleted, and the rest of it will be later", "run", id, "error", err)
	}
	return at, nil
}

// eraseRow replaces the row of an ended run by the record that it was deleted.
func eraseRow(ctx context.Context, t *db.Tx, id, by string, at time.Time) error {
	var state job.State
	err := t.QueryRowContext(ctx, `SELECT state FROM runs WHERE id = $1`+t.Dialect.Lock, id).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return tables.MissingRun(ctx, t, t.Dialect, id)
	}
	if err != nil {
		return fmt.Errorf("look up run %s to delete it: %w", id, err)
	}
	if !state.Terminal() && state != job.Lost {
		return &query.ActiveRunError{Run: id, State: state}
	}
	of, err := deleteRunRow(ctx, t, id)
	if err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	for _, one := range []db.Statement{
		{Query: `INSERT INTO deleted_runs (run_id, deleted_at, deleted_by, pending) VALUES ($1, $2, $3, 2)`, Args: []any{id, db.Micros(at), by}},
		{Query: `DELETE FROM troubled WHERE substr(id, 1, length($1)) = $1`, Args: []any{id}},
		{Query: `UPDATE job_pulses SET body = NULL WHERE job = $1`, Args: []any{of}}, // of the last ping, which may have been of this run
	} {
		if _, err := t.ExecContext(ctx, one.Query, one.Args...); err != nil {
			return fmt.Errorf("record that run %s was deleted: %w", id, err)
		}
	}
	return requestErase(ctx, t)
}

// requestErase makes the database be cleaned of bytes that the transaction deletes.
func requestErase(ctx context.Context, t *db.Tx) error {
	if _, err := t.ExecContext(ctx, `UPDATE installation SET erase_requested = erase_requested + 1`); err != nil {
		return fmt.Errorf("request that deleted bytes are erased: %w", err)
	}
	return nil
}

// eraseRest deletes the attempts and blocks of a deleted run, in batches.
func (s *Maintenance) eraseRest(ctx context.Context, id string) error {
	return s.RunSteps(ctx, func() (more bool, err error) {
		err = s.Write(ctx, db.Runs(id), func(t *db.Tx) error {
			if more, err = s.deleteSomeBlocks(ctx, t, id); err != nil || more {
				return err
			}
			for _, query := range []string{`DELETE FROM attempts WHERE run_id = $1`, `UPDATE deleted_runs SET pending = 1 WHERE run_id = $1 AND pending = 2`} {
				if _, err := t.ExecContext(ctx, query, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("delete the journals of run %s: %w", id, err)
		}
		return more, nil
	})
}

// Erase continues what was deleted by request: it deletes the rows that are left, and erases the bytes of all deleted rows
// from the files of the database and from segments. It returns the number of runs of which nothing is left.
func (s *Maintenance) Erase(ctx context.Context) (runs int, err error) {
	for {
		ids, err := s.ReadTexts(ctx, `SELECT run_id FROM deleted_runs WHERE pending = 2 LIMIT $1`, maxDeletedRuns)
		if err != nil {
			return 0, fmt.Errorf("select deleted runs: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			if err := s.eraseRest(ctx, id); err != nil {
				return 0, err
			}
		}
	}
	var requested, done int64
	if err := s.Reader.QueryRowContext(ctx, `SELECT erase_requested, erase_done FROM installation`).Scan(&requested, &done); err != nil {
		return 0, fmt.Errorf("look whether deleted bytes are to be erased: %w", err)
	}
	ids, err := s.ReadTexts(ctx, `SELECT run_id FROM deleted_runs WHERE pending = 1`)
	if err != nil || requested == done && len(ids) == 0 {
		return 0, err
	}
	if err := s.eraseSegments(ctx, ids); err != nil {
		return 0, err
	}
	// A stale text may be of a run that was deleted, or that had another label: its row is deleted before the bytes of rows are.
	if err := s.RunSteps(ctx, func() (bool, error) { return s.deleteStaleTexts(ctx) }); err != nil {
		return 0, err
	}
	if erased, err := s.eraser.Erase(ctx, requested); err != nil || !erased {
		return 0, err
	}
	return len(ids), s.Write(ctx, db.None, func(t *db.Tx) error {
		table, args := t.Dialect.Table(1, db.Column{Texts: ids})
		if len(ids) > 0 {
			if _, err := t.ExecContext(ctx, `UPDATE deleted_runs SET pending = 0 WHERE pending = 1 AND run_id IN (SELECT c0 FROM `+table+`)`, args...); err != nil {
				return fmt.Errorf("record that runs are erased: %w", err)
			}
		}
		_, err := t.ExecContext(ctx, `UPDATE installation SET erase_done = $1 WHERE erase_done < $1`, requested)
		return err
	})
}

// eraseSegments overwrites what segments have of deleted runs.
func (s *Maintenance) eraseSegments(ctx context.Context, ids []string) error {
	if s.Segments == nil || len(ids) == 0 {
		return nil
	}
	deleted := make(map[string]bool, len(ids))
	for _, id := range ids {
		deleted[id] = true
	}
	skipped := true
	err := s.unlessBackup(func() error {
		skipped = false
		all, err := s.Segments.List()
		for _, one := range all {
			if err == nil {
				err = s.Segments.Erase(ctx, one.ID, deleted)
			}
		}
		return err
	})
	if err == nil && skipped {
		err = errors.New("a backup is running: deleted runs are erased from segments when it has ended")
	}
	return err
}

const (
	// eraseInterval is the interval between two searches for bytes to erase.
	eraseInterval = 10 * time.Second
	// erasePause is the pause after they were erased, because that may cost as much as all other work of a database: runs
	// that are deleted meanwhile are erased together, within the 10 minutes that are promised.
	erasePause = 4 * time.Minute
)

// EraseDeleted erases what was deleted by request until ctx ends. Maintain does so too.
func (s *Maintenance) EraseDeleted(ctx context.Context) {
	failures := periodic.Failures{
		Log: s.Log, Failing: "the bytes of deleted runs could not be erased yet; it is tried again", Working: "the bytes of deleted runs are erased again",
	}
	periodic.Loop{Now: s.Now, Failures: failures}.RunPaced(ctx, func(time.Time) (time.Duration, error) {
		began := s.SinceBoot()
		runs, err := s.Erase(ctx)
		if err != nil || runs == 0 {
			return eraseInterval, err
		}
		s.Log.Info("deleted runs are erased", "runs", runs, "took", s.SinceBoot()-began)
		return erasePause, nil
	})
}
