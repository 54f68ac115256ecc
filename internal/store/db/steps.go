package db

import (
	"context"
	"fmt"
	"time"
)

// maxStepPause is the longest pause between two steps of RunSteps.
const maxStepPause = time.Second

// RunSteps calls step until it reports that there is no more to do, or fails. It pauses between two
// steps for as long as the last one took, but at most a second, so that other work gets its turn.
func (s *DB) RunSteps(ctx context.Context, step func() (more bool, err error)) error {
	return s.RunPacedSteps(ctx, 1, step)
}

// RunPacedSteps is RunSteps with pauses of pace times as long as the last step took, but at most a second.
func (s *DB) RunPacedSteps(ctx context.Context, pace int, step func() (more bool, err error)) error {
	for {
		began := s.Now()
		more, err := step()
		if !more || err != nil {
			return err
		}
		if err := Sleep(ctx, min(time.Duration(pace)*s.Now().Sub(began), maxStepPause)); err != nil {
			return err
		}
	}
}

// Pause waits as long as has passed since a time, but at most a second. Its error is that of a
// context that ends before.
func (s *DB) Pause(ctx context.Context, since time.Time) error {
	return Sleep(ctx, min(s.Now().Sub(since), maxStepPause))
}

// yieldStep is how often Yield looks whether it has waited enough.
const yieldStep = time.Millisecond

// Yield is for work that takes many transactions: it waits until those of WriteFirst are done that wait, and
// those that begin at their end, but for no longer than a third of the time that has passed since a time.
// SQLite runs one transaction after the other, so that what agents send while a transaction of theirs waits
// would wait for two of the work.
func (s *DB) Yield(ctx context.Context, since time.Time) error {
	if s.Dialect.Postgres {
		return nil
	}
	const enough = 2 // one may end at the moment of a look, before the next begins
	done := enough
	if s.first.Load() > 0 {
		done = 0
	}
	for left := s.Now().Sub(since) / 3; done < enough && left > 0; left -= yieldStep {
		if err := Sleep(ctx, yieldStep); err != nil {
			return err
		}
		if done++; s.first.Load() > 0 {
			done = 0
		}
	}
	return nil
}

// Sleep waits for d. Its error is that of a context that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ExpiryRule says when the rows of a table expire.
type ExpiryRule struct {
	Table, Key, At string        // the table, the columns of its key, and the column of the time
	After          time.Duration // how long after that time a row expires
	Batch          int           // the number of rows that one transaction deletes
}

// Statement returns the statement that deletes a batch of expired rows. Argument 1 is the time
// before which rows are expired, argument 2 the number of rows. The condition on the time is
// repeated because another server may have changed a row since it was found.
func (e ExpiryRule) Statement() string {
	return "DELETE FROM " + e.Table + " WHERE (" + e.Key + ") IN (SELECT " + e.Key + " FROM " + e.Table +
		" WHERE " + e.At + " < $1 ORDER BY " + e.At + " LIMIT $2) AND " + e.At + " < $1"
}

// Expire deletes the expired rows of a table, a batch in each transaction.
func (s *DB) Expire(ctx context.Context, e ExpiryRule, now time.Time) error {
	return s.RunSteps(ctx, func() (more bool, err error) {
		err = s.Write(ctx, None, func(t *Tx) error {
			res, err := t.ExecContext(ctx, e.Statement(), Micros(now.Add(-e.After)), e.Batch)
			if err != nil {
				return fmt.Errorf("delete expired rows of %s: %w", e.Table, err)
			}
			n, err := res.RowsAffected()
			more = n == int64(e.Batch)
			return err
		})
		return more, err
	})
}
