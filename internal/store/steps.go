package store

import (
	"context"
	"fmt"
	"time"
)

// repeat takes steps while there is more to do. Between two it rests as long as the last one took.
func repeat(ctx context.Context, step func() (more bool, err error)) error {
	for {
		began := time.Now()
		more, err := step()
		if !more || err != nil {
			return err
		}
		if err := rest(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// rest waits, or returns the error of a context that ends before.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expiring is a table of whose rows those go by themselves that are older than a time.
type expiring struct {
	table, key, at string        // the columns of the key, and of the time
	after          time.Duration // the time
	batch          int           // how many rows one transaction deletes
}

// statement deletes a batch of rows. Argument 1 is the time before which they go, argument 2
// how many. The time is looked at twice: another server may have changed it since the rows
// were found.
func (e expiring) statement() string {
	return "DELETE FROM " + e.table + " WHERE (" + e.key + ") IN (SELECT " + e.key + " FROM " + e.table +
		" WHERE " + e.at + " < $1 ORDER BY " + e.at + " LIMIT $2) AND " + e.at + " < $1"
}

// expire deletes the rows of a table that are past their time, some at once.
func (s *database) expire(ctx context.Context, e expiring, now time.Time) error {
	return repeat(ctx, func() (more bool, err error) {
		err = s.write(ctx, noRuns, func(t *tx) error {
			res, err := t.ExecContext(ctx, e.statement(), micros(now.Add(-e.after)), e.batch)
			if err != nil {
				return fmt.Errorf("delete rows of %s that are past their time: %w", e.table, err)
			}
			n, err := res.RowsAffected()
			more = n == int64(e.batch)
			return err
		})
		return more, err
	})
}
