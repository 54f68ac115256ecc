package db

import (
	"context"
	"database/sql"
	"math"
	"time"
)

// Micros returns a time as it is stored: microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// NullableMicros returns a time as it is stored; NULL for nil.
func NullableMicros(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

// Never represents NULL among the numbers of a Column.
const Never = int64(math.MinInt64)

// MicrosOrNever is NullableMicros for a Column: NULLIF with Never makes NULL of it.
func MicrosOrNever(t *time.Time) int64 {
	if t == nil {
		return Never
	}
	return t.UnixMicro()
}

// FromMicros returns a stored time.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// FromNullableMicros returns a stored time; nil for NULL.
func FromNullableMicros(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := FromMicros(us.Int64)
	return &t
}

// NotNull returns a number for a column that may be NULL.
func NotNull(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

// BoolToInt returns 1 for true and 0 for false, as conditions are stored.
func BoolToInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Scanner is a row of *sql.Row or *sql.Rows.
type Scanner interface{ Scan(dest ...any) error }

// RowQuerier is a database or a transaction.
type RowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Querier is a connection, or a transaction, that reads.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// QueryTexts runs a query whose rows have one text each.
func QueryTexts(ctx context.Context, from Querier, query string, args ...any) ([]string, error) {
	return valuesOf[string](ctx, from, query, args...)
}

// QueryNumbers runs a query whose rows have one number each.
func QueryNumbers(ctx context.Context, from Querier, query string, args ...any) ([]int64, error) {
	return valuesOf[int64](ctx, from, query, args...)
}

func valuesOf[T any](ctx context.Context, from Querier, query string, args ...any) ([]T, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// RequireRow returns ErrRetry if a statement wrote no row, because another server was faster.
func RequireRow(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrRetry
	}
	return nil
}

// Latest returns the later of two times.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
