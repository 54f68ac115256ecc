package queue

import (
	"context"
	"errors"
	"fmt"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/job"
)

// matchBatch is the most runs that one transaction of the matcher makes ready.
const matchBatch = 200

// What the matcher looks for each second. Each reads an index from where it begins, however many runs wait.
const (
	dueRuns       = `SELECT run_id FROM queue_entries WHERE gate = 'not_before' AND not_before <= $1 ORDER BY not_before LIMIT $2`
	nextPausedJob = `SELECT job FROM queue_entries WHERE gate = 'paused' AND job > $1 ORDER BY job LIMIT 1`
	nextGroup     = `SELECT group_name FROM queue_entries WHERE gate = 'group' AND group_name > $1 ORDER BY group_name, selector, rank, run_id LIMIT 1`
	nextSelector  = `SELECT selector FROM queue_entries WHERE gate = 'group' AND group_name = $1 AND selector > $2 ORDER BY group_name, selector, rank, run_id LIMIT 1`
	firstOfGroup  = `SELECT run_id FROM queue_entries WHERE gate = 'group' AND group_name = $1 AND selector = $2 ORDER BY rank, run_id LIMIT $3`
)

// Match makes the runs ready that wait for nothing any more: their time has come, their definition is not
// paused any more, or their group has a free place; places of lost attempts are held for a time only. What is blocked is found by indexes of what unblocks
// it, so that it costs nothing.
func (s *Queue) Match(ctx context.Context) error {
	return errors.Join(s.matchLater(ctx), s.matchPaused(ctx), s.places.ReleaseHeldPlaces(ctx), s.matchGroups(ctx))
}

// matchLater admits runs whose time has come.
func (s *Queue) matchLater(ctx context.Context) error {
	for {
		ids, err := s.ReadTexts(ctx, dueRuns, db.Micros(s.Now()), matchBatch)
		if err != nil {
			return fmt.Errorf("read which runs are due: %w", err)
		}
		if done, err := s.admitAll(ctx, ids, rules.Later); done || err != nil {
			return err
		}
	}
}

// matchPaused admits runs whose definition is not paused any more, and withdraws those of definitions that
// are paused.
func (s *Queue) matchPaused(ctx context.Context) error {
	jobs, err := s.ReadTexts(ctx, `SELECT job FROM definitions d WHERE paused_at IS NOT NULL AND EXISTS (SELECT 1 FROM queue_ready r WHERE r.job = d.job AND r.work <> r.job)`)
	if err != nil {
		return fmt.Errorf("read which definitions are paused: %w", err)
	}
	for _, name := range jobs {
		if err := s.Write(ctx, db.None, func(t *db.Tx) error { return WithdrawPaused(ctx, t, name) }); err != nil {
			return err
		}
	}
	last := ""
	for {
		waiting, err := s.ReadTexts(ctx, nextPausedJob, last)
		if err != nil || len(waiting) == 0 {
			return err
		}
		last = waiting[0]
		for {
			ids, err := s.ReadTexts(ctx, `SELECT run_id FROM queue_entries WHERE gate = 'paused' AND job = $1
				AND NOT EXISTS (SELECT 1 FROM definitions WHERE job = $1 AND paused_at IS NOT NULL) ORDER BY run_id LIMIT $2`, last, matchBatch)
			if err != nil {
				return fmt.Errorf("read the runs of job %s that are paused: %w", job.Quote(last), err)
			}
			if done, err := s.admitAll(ctx, ids, rules.Paused); err != nil {
				return err
			} else if done {
				break
			}
		}
	}
}

// WithdrawPaused keeps runs of a job from being given to workers that is paused in this transaction, or was
// before.
func WithdrawPaused(ctx context.Context, t *db.Tx, name string) error {
	if err := groups.Lock(ctx, t); err != nil {
		return err
	}
	return withdraw(ctx, t, rules.Paused, `job = $1 AND work <> job AND EXISTS (SELECT 1 FROM definitions d WHERE d.job = $1 AND d.paused_at IS NOT NULL)`, name)
}

// admitAll admits runs that wait at a gate. It reports whether there are no more: fewer than a batch, or
// all of them are locked by others.
func (s *Queue) admitAll(ctx context.Context, ids []string, gate rules.Gate) (done bool, err error) {
	if len(ids) == 0 {
		return true, nil
	}
	admitted := 0
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		admitted = 0
		own, err := lockEntries(ctx, t, ids, gate)
		if err != nil {
			return err
		}
		for _, run := range own {
			if err := admit(ctx, t, run, false); err != nil {
				return err
			}
			admitted++
		}
		return nil
	})
	return admitted == 0 || len(ids) < matchBatch, err
}

// lockEntries locks runs, and returns those that wait at a gate. Runs that another transaction has locked are
// left out: it changes what they wait for.
func lockEntries(ctx context.Context, t *db.Tx, ids []string, gate rules.Gate) ([]string, error) {
	table, args := t.Dialect.Table(1, db.Column{Texts: ids})
	if t.Dialect.Postgres {
		locked, err := db.QueryTexts(ctx, t, `SELECT id FROM runs WHERE id IN (SELECT c0 FROM `+table+`) ORDER BY id`+t.Dialect.Lock+` SKIP LOCKED`, args...)
		if err != nil {
			return nil, fmt.Errorf("lock %d runs in the queue: %w", len(ids), err)
		}
		if len(locked) == 0 {
			return nil, nil
		}
		table, args = t.Dialect.Table(1, db.Column{Texts: locked})
	}
	own, err := db.QueryTexts(ctx, t, `SELECT run_id FROM queue_entries WHERE gate = '`+string(gate)+`' AND run_id IN (SELECT c0 FROM `+table+`) ORDER BY rank, run_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read %d entries of the queue: %w", len(ids), err)
	}
	return own, nil
}

// matchGroups makes runs ready of groups with free places: of each selector as many as there are places,
// because nobody knows whose workers ask first.
func (s *Queue) matchGroups(ctx context.Context) error {
	last := ""
	for {
		waiting, err := s.ReadTexts(ctx, nextGroup, last)
		if err != nil {
			return fmt.Errorf("read which groups wait: %w", err)
		}
		if len(waiting) == 0 {
			return nil
		}
		last = waiting[0]
		for more := true; more; {
			if more, err = s.matchGroup(ctx, last); err != nil {
				return err
			}
		}
	}
}

// matchGroup makes a batch of a group's runs ready. It reports whether there may be more.
func (s *Queue) matchGroup(ctx context.Context, group string) (more bool, err error) {
	free, err := groups.CountFree(ctx, s.Reader, group)
	if err != nil || free == 0 {
		return false, err
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		more = false
		if err := groups.Lock(ctx, t); err != nil {
			return err
		}
		free, err := groups.CountFree(ctx, t, group)
		if err != nil || free == 0 {
			return err
		}
		selectors, err := waitingSelectors(ctx, t, group)
		if err != nil {
			return err
		}
		for _, of := range selectors {
			n, err := fillGroup(ctx, t, group, of, free)
			if err != nil {
				return err
			}
			more = more || n == matchBatch
		}
		return nil
	})
	return more, err
}

// waitingSelectors returns the selectors of runs that wait for a group.
func waitingSelectors(ctx context.Context, t *db.Tx, group string) (all []int64, err error) {
	last := int64(-1)
	for {
		next, err := db.QueryNumbers(ctx, t, nextSelector, group, last)
		if err != nil {
			return nil, fmt.Errorf("read what waits for group %s: %w", job.Quote(group), err)
		}
		if len(next) == 0 {
			return all, nil
		}
		last = next[0]
		all = append(all, last)
	}
}

// fillGroup makes runs of a group and a selector ready until there are as many as free places. It returns
// how many it made ready, at most a batch.
func fillGroup(ctx context.Context, t *db.Tx, group string, selector, free int64) (int, error) {
	room := int64(matchBatch)
	if free < groups.Unlimited {
		var n int64
		if err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM queue_ready WHERE group_name = $1 AND group_name <> '' AND selector = $2`, group, selector).Scan(&n); err != nil {
			return 0, fmt.Errorf("count what is ready of group %s: %w", job.Quote(group), err)
		}
		room = min(room, free-n)
	}
	if room <= 0 {
		return 0, nil
	}
	ids, err := db.QueryTexts(ctx, t, firstOfGroup, group, selector, room)
	if err != nil {
		return 0, fmt.Errorf("read what waits for group %s: %w", job.Quote(group), err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	own, err := lockEntries(ctx, t, ids, rules.Full)
	if err != nil {
		return 0, err
	}
	for _, run := range own {
		if err := admit(ctx, t, run, true); err != nil {
			return 0, err
		}
	}
	return len(own), nil
}

// WithdrawGroup takes the runs of a group out of the ready ones, because it has no free place.
func WithdrawGroup(ctx context.Context, t *db.Tx, group string) error {
	return withdraw(ctx, t, rules.Full, `group_name = $1 AND group_name <> ''`, group)
}

// withdraw takes runs out of the ready ones that match a condition, whose argument is $1.
func withdraw(ctx context.Context, t *db.Tx, gate rules.Gate, which string, arg any) error {
	wait := waitCounts
	if !gate.Counts() {
		wait = waitStops
	}
	_, err := t.ExecContext(ctx, `UPDATE queue_entries SET gate = $2, `+wait+` WHERE gate = 'ready' AND run_id IN (SELECT run_id FROM queue_ready WHERE `+which+`)`, arg, string(gate), db.Micros(t.Now()))
	if err == nil {
		_, err = t.ExecContext(ctx, `DELETE FROM queue_ready WHERE `+which, arg)
	}
	if err != nil {
		return fmt.Errorf("withdraw runs that were ready: %w", err)
	}
	return nil
}
