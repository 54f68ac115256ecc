package db

import (
	"context"
	"database/sql"
	"time"
)

// Micros is a time as the database keeps it.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// MicrosOrNull is a time as the database keeps it; NULL for nil.
func MicrosOrNull(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

// FromMicros reads a time that is kept in microseconds since 1970.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// FromNull reads a time that may be NULL: nil then.
func FromNull(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := FromMicros(us.Int64)
	return &t
}

// Number is a number for a column that may be NULL.
func Number(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

// AsInt is how the tables keep a condition.
func AsInt(yes bool) int {
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

// TextsOf runs a query whose rows are one text each.
func TextsOf(ctx context.Context, from Querier, query string, args ...any) ([]string, error) {
	return valuesOf[string](ctx, from, query, args...)
}

// NumbersOf runs a query whose rows are one number each.
func NumbersOf(ctx context.Context, from Querier, query string, args ...any) ([]int64, error) {
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

// Wrote turns a row that was not written into ErrAgain: another server was faster.
func Wrote(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrAgain
	}
	return nil
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
