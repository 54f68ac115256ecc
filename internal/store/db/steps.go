package db

import (
	"context"
	"fmt"
	"time"
)

// Repeat takes steps while there is more to do. Between two it rests as long as the last one took.
func Repeat(ctx context.Context, step func() (more bool, err error)) error {
	for {
		began := time.Now()
		more, err := step()
		if !more || err != nil {
			return err
		}
		if err := Rest(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// Rest waits, or returns the error of a context that ends before.
func Rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Expiring is a table of whose rows those go by themselves that are older than a time.
type Expiring struct {
	Table, Key, At string        // the columns of the key, and of the time
	After          time.Duration // the time
	Batch          int           // how many rows one transaction deletes
}

// Statement deletes a batch of rows. Argument 1 is the time before which they go, argument 2
// how many. The time is looked at twice: another server may have changed it since the rows
// were found.
func (e Expiring) Statement() string {
	return "DELETE FROM " + e.Table + " WHERE (" + e.Key + ") IN (SELECT " + e.Key + " FROM " + e.Table +
		" WHERE " + e.At + " < $1 ORDER BY " + e.At + " LIMIT $2) AND " + e.At + " < $1"
}

// Expire deletes the rows of a table that are past their time, some at once.
func (s *DB) Expire(ctx context.Context, e Expiring, now time.Time) error {
	return Repeat(ctx, func() (more bool, err error) {
		err = s.Write(ctx, None, func(t *Tx) error {
			res, err := t.ExecContext(ctx, e.Statement(), Micros(now.Add(-e.After)), e.Batch)
			if err != nil {
				return fmt.Errorf("delete rows of %s that are past their time: %w", e.Table, err)
			}
			n, err := res.RowsAffected()
			more = n == int64(e.Batch)
			return err
		})
		return more, err
	})
}
