package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Epoch is how often a database was counted, and when it was last; zero for never. A copy has the values from when it
// was made.
type Epoch struct {
	N  int64
	At time.Time
}

// Epoch reads the epoch of the database.
func (s *DB) Epoch(ctx context.Context) (e Epoch, err error) {
	var at sql.NullInt64
	if err := s.Writer.QueryRowContext(ctx, `SELECT epoch, epoch_at FROM installation`).Scan(&e.N, &at); err != nil {
		return e, fmt.Errorf("read the epoch of the database: %w", err)
	}
	if at.Valid {
		e.At = FromMicros(at.Int64)
	}
	return e, nil
}

// AdvanceEpoch counts the database: it returns its new epoch, which is above floor.
func (s *DB) AdvanceEpoch(ctx context.Context, floor int64) (n int64, err error) {
	err = s.Write(ctx, None, func(t *Tx) error {
		return t.QueryRowContext(ctx, `UPDATE installation SET epoch = CASE WHEN epoch < $1 THEN $1 ELSE epoch END + 1, epoch_at = $2 RETURNING epoch`,
			floor, Micros(t.Now())).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count the database: %w", err)
	}
	return n, nil
}
