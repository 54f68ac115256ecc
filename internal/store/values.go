package store

import (
	"context"
	"database/sql"
	"time"
)

// micros is a time as the database keeps it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func microsOrNull(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func fromNull(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := fromMicros(us.Int64)
	return &t
}

func number(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }

// asInt is how the tables keep a condition.
func asInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// scanner is a row of *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// oneRow is a database or a transaction.
type oneRow interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// manyRows is a connection, or a transaction, that reads.
type manyRows interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// textsOf runs a query whose rows are one text each.
func textsOf(ctx context.Context, from manyRows, query string, args ...any) ([]string, error) {
	return valuesOf[string](ctx, from, query, args...)
}

// numbersOf runs a query whose rows are one number each.
func numbersOf(ctx context.Context, from manyRows, query string, args ...any) ([]int64, error) {
	return valuesOf[int64](ctx, from, query, args...)
}

func valuesOf[T any](ctx context.Context, from manyRows, query string, args ...any) ([]T, error) {
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

// wrote turns a row that was not written into errAgain: another server was faster.
func wrote(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return errAgain
	}
	return nil
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
