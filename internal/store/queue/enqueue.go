package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/job"
)

// Enqueue adds an attempt of a submitted run to the queue, or replaces one that waits there. The
// transaction has locked the row of the run.
func Enqueue(ctx context.Context, t *db.Tx, e Entry) error {
	return enqueue(ctx, t, e, nil)
}

// enqueue adds an attempt that depends on other runs.
func enqueue(ctx context.Context, t *db.Tx, e Entry, after []job.Dependency) error {
	var selector string
	err := t.QueryRowContext(ctx, `SELECT job, definition, selector, group_name, weight FROM submissions WHERE run_id = $1`, e.Run).
		Scan(&e.Job, &e.Definition, &selector, &e.Group, &e.Weight)
	if errors.Is(err, sql.ErrNoRows) {
		return &query.NotFoundError{What: "the submission of run " + e.Run}
	}
	if err != nil {
		return fmt.Errorf("read the submission of run %s: %w", e.Run, err)
	}
	if selector, err = withMemory(selector, e.MemoryBytes); err != nil {
		return fmt.Errorf("read what run %s asks of a worker: %w", e.Run, err)
	}
	if err := Leave(ctx, t, e.Run); err != nil {
		return err
	}
	of, err := findSelector(ctx, t, selector)
	if err != nil {
		return err
	}
	rank, err := nextRank(ctx, t, of, e.Job, e.Weight)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `INSERT INTO queue_entries (run_id, attempt, job, definition, selector, group_name, weight, rank, gate, queued_at, not_before, start_by, held, avoid, memory)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		e.Run, e.Attempt, e.Job, e.Definition, of.id, e.Group, e.Weight, rank, Taken, db.Micros(t.Now()),
		db.NullableMicros(e.NotBefore), db.NullableMicros(e.StartBy), e.Held, rules.HostsText(e.Avoid), e.MemoryBytes)
	if err != nil {
		return fmt.Errorf("queue attempt %d of run %s: %w", e.Attempt, e.Run, err)
	}
	for _, d := range after {
		_, err := t.ExecContext(ctx, `INSERT INTO queue_after (run_id, needs, how) VALUES ($1, $2, $3)`, e.Run, d.Run, d.When)
		if err != nil {
			return fmt.Errorf("store that run %s waits for run %s: %w", e.Run, d.Run, err)
		}
	}
	return admit(ctx, t, e.Run, false)
}

// withMemory returns a selector for an attempt with a memory limit of its own; 0 for that of the spec.
func withMemory(text string, limit int64) (string, error) {
	if limit <= 0 {
		return text, nil
	}
	var s rules.Selector
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", err
	}
	s.Memory = limit
	return s.Text()
}

// selectorRow is a row of queue_selectors.
type selectorRow struct{ id, virtual int64 }

// findSelector returns the row of a selector, which it makes if there is none.
func findSelector(ctx context.Context, t *db.Tx, text string) (row selectorRow, err error) {
	keep := ""
	if t.Dialect.Postgres {
		keep = ` FOR KEY SHARE` // see TidyQueue of package matcher
	}
	for {
		err = t.QueryRowContext(ctx, `SELECT id, virtual_time FROM queue_selectors WHERE selector = $1`+keep, text).Scan(&row.id, &row.virtual)
		if err == nil {
			return row, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return row, fmt.Errorf("read a selector of the queue: %w", err)
		}
		_, err = t.ExecContext(ctx, `INSERT INTO queue_selectors (selector, virtual_time) VALUES ($1, 0) ON CONFLICT DO NOTHING`, text)
		if err != nil {
			return row, fmt.Errorf("store a selector of the queue: %w", err)
		}
	}
}

// nextRank returns the rank of a run that joins a lane, and stores that of the next one.
func nextRank(ctx context.Context, t *db.Tx, of selectorRow, lane string, weight int64) (int64, error) {
	var next int64
	err := t.QueryRowContext(ctx, `SELECT next FROM queue_lanes WHERE selector = $1 AND lane = $2`+t.Dialect.Lock, of.id, lane).Scan(&next)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read the lane of job %s: %w", job.Quote(lane), err)
	}
	rank, following := rules.Rank(next, of.virtual, weight)
	_, err = t.ExecContext(ctx, `INSERT INTO queue_lanes (selector, lane, next) VALUES ($1, $2, $3) ON CONFLICT (selector, lane) DO UPDATE SET next = excluded.next`, of.id, lane, following)
	if err != nil {
		return 0, fmt.Errorf("store the lane of job %s: %w", job.Quote(lane), err)
	}
	return rank, nil
}

// admit finds out what a run that is not ready waits for, and makes it ready if that is nothing. A run
// of a group waits for the matcher, which knows that there is a place. It does nothing for a run that is
// not in the queue.
func admit(ctx context.Context, t *db.Tx, run string, hasPlace bool) error {
	var held, group string
	var notBefore sql.NullInt64
	w := rules.Waits{}
	var paused int
	err := t.QueryRowContext(ctx, `SELECT held, group_name, not_before, (SELECT COUNT(*) FROM queue_after WHERE run_id = e.run_id),
		(SELECT COUNT(*) FROM definitions d WHERE d.job = e.job AND d.paused_at IS NOT NULL AND e.definition <> '')
		FROM queue_entries e WHERE run_id = $1`, run).Scan(&held, &group, &notBefore, &w.Unmet, &paused)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what run %s waits for: %w", run, err)
	}
	w.Held, w.Paused, w.GroupFull, w.NotBefore = held != "", paused > 0, group != "" && !hasPlace, db.FromNullableMicros(notBefore)
	gate, wait := ready, waitCounts
	if closed := rules.Closed(w, t.Now()); len(closed) > 0 {
		gate = string(closed[0])
	}
	if gate != ready && !rules.Gate(gate).Counts() {
		wait = waitStops
	}
	if _, err := t.ExecContext(ctx, `UPDATE queue_entries SET gate = $2, `+wait+` WHERE run_id = $1`, run, gate, db.Micros(t.Now())); err != nil {
		return fmt.Errorf("store what run %s waits for: %w", run, err)
	}
	switch gate {
	case ready:
		return insertReady(ctx, t, run)
	case string(rules.Full):
		t.OnCommit(t.Signals.Match.Raise)
	}
	return nil
}

// insertReady makes an entry ready.
func insertReady(ctx context.Context, t *db.Tx, run string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO queue_ready (selector, rank, run_id, job, group_name, weight, avoid, work)
		SELECT selector, rank, run_id, job, group_name, weight, avoid, CASE WHEN definition = '' THEN job ELSE definition END
		FROM queue_entries WHERE run_id = $1`, run)
	if err != nil {
		return fmt.Errorf("make run %s ready: %w", run, err)
	}
	return t.RaiseReady(ctx)
}

// Return puts an attempt back whose claim ended without a permit. It has its old rank. It does
// nothing if no worker has it.
func Return(ctx context.Context, t *db.Tx, run string) error {
	var n int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM queue_entries WHERE run_id = $1 AND gate = $2`, run, Taken).Scan(&n)
	if err != nil {
		return fmt.Errorf("read the place of run %s in the queue: %w", run, err)
	}
	if n == 0 {
		return nil
	}
	if err := groups.FreePlace(ctx, t, run); err != nil {
		return err
	}
	return admit(ctx, t, run, false)
}

// Leave removes a run from the queue, and the claim of it: it got its permit, or waits no more. Its place in
// its group stays. It does nothing if the run is not in the queue.
func Leave(ctx context.Context, t *db.Tx, run string) error {
	return t.Queue(ctx, db.Statement{Query: `DELETE FROM queue_entries WHERE run_id = $1`, Args: []any{run}, What: "remove run " + run + " from the queue"})
}

// Ended lets the runs be judged that wait for the end of a run.
func Ended(ctx context.Context, t *db.Tx, run string) error {
	var waits int
	some, err := t.Once(ctx, `SELECT 1 FROM queue_after LIMIT 1`) // for most ends none waits for any run
	if err == nil && some {
		err = t.ReadRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM queue_after WHERE needs = $1 LIMIT 1) AS one`, []any{run}, &waits)
	}
	if err != nil {
		return fmt.Errorf("read what waits for run %s: %w", run, err)
	}
	if waits > 0 {
		t.OnCommit(func() { t.Signals.AddEnded(run) })
	}
	return nil
}

// Met removes the dependencies of runs on one that has ended as they need it.
func Met(ctx context.Context, t *db.Tx, needed string, runs []string) error {
	table, args := t.Dialect.Table(1, db.Column{Texts: runs})
	ids, err := db.QueryTexts(ctx, t, `SELECT id FROM runs WHERE id IN (SELECT c0 FROM `+table+`) ORDER BY id`+t.Dialect.Lock, args...)
	if err != nil {
		return fmt.Errorf("lock what waits for run %s: %w", needed, err)
	}
	for _, run := range ids {
		if _, err := t.ExecContext(ctx, `DELETE FROM queue_after WHERE run_id = $1 AND needs = $2`, run, needed); err != nil {
			return fmt.Errorf("store that run %s does not wait for run %s any more: %w", run, needed, err)
		}
		var gate string
		err := t.QueryRowContext(ctx, `SELECT gate FROM queue_entries WHERE run_id = $1`, run).Scan(&gate)
		if err == nil && gate == string(rules.After) {
			err = admit(ctx, t, run, false)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the place of run %s in the queue: %w", run, err)
		}
	}
	return nil
}
