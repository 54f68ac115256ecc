package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// statements caches prepared statements of the writing connection of SQLite: parsing a statement
// costs more than running it. pgx has a cache of its own.
type statements struct {
	db        *sql.DB
	mu        sync.Mutex
	ready     map[string]*sql.Stmt
	toPrepare map[string]bool // used in a transaction, and not prepared yet
}

// maxStatements limits the cache; the program has far fewer statements.
const maxStatements = 200

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, ready: map[string]*sql.Stmt{}, toPrepare: map[string]bool{}}
}

// get returns the prepared statement of a query, or nil, and then marks the query to be prepared.
func (s *statements) get(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt := s.ready[query]
	if stmt == nil && len(s.ready)+len(s.toPrepare) < maxStatements {
		s.toPrepare[query] = true
	}
	return stmt
}

// prepare prepares the queries that get has marked. It uses the writing connection, so no transaction
// may be open.
func (s *statements) prepare(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.toPrepare
	s.toPrepare = map[string]bool{} // never read without the lock while get may write to it
	s.mu.Unlock()
	for query := range wanted {
		stmt, err := s.db.PrepareContext(ctx, query)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", query, err)
		}
		s.mu.Lock()
		if s.ready[query] == nil {
			s.ready[query], stmt = stmt, nil
		}
		s.mu.Unlock()
		if stmt != nil { // another call was faster
			if err := stmt.Close(); err != nil {
				return fmt.Errorf("close a statement: %w", err)
			}
		}
	}
	return nil
}

// Tx is a transaction that writes.
type Tx struct {
	*sql.Tx
	Dialect  Dialect
	prepared *statements      // nil for PostgreSQL
	Now      func() time.Time // the server's clock
	pipeline *pipeline        // nil for SQLite
	Signals  *Signals
	// committed are called after the commit.
	committed []func()
	answers   map[string]bool // see Once
	trips     *atomic.Int64   // see DB
	// raisesReady says that RaiseReady was called.
	raisesReady bool
}

// Once returns whether a query returns a row. The same query again has the same answer within the transaction: use it
// for what the transaction does not change.
func (t *Tx) Once(ctx context.Context, query string) (bool, error) {
	if found, known := t.answers[query]; known {
		return found, nil
	}
	var one int
	err := t.ReadRow(ctx, query, nil, &one)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if t.answers == nil {
		t.answers = map[string]bool{}
	}
	t.answers[query] = err == nil
	return err == nil, nil
}

// OnCommit registers fn to be called after the commit, and before the next transaction that touches
// the same runs begins.
func (t *Tx) OnCommit(fn func()) { t.committed = append(t.committed, fn) }

// statementContext returns the context of a statement. In SQLite it cannot be canceled: a statement
// takes microseconds, and watching for the cancellation costs more.
func (t *Tx) statementContext(ctx context.Context) context.Context {
	if t.prepared == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (t *Tx) stmt(ctx context.Context, query string) *sql.Stmt {
	if t.prepared == nil {
		return nil
	}
	stmt := t.prepared.get(query)
	if stmt == nil {
		return nil
	}
	return t.StmtContext(ctx, stmt)
}

// ExecContext is sql.Tx.ExecContext with a cached prepared statement.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.trips.Add(1)
	ctx = t.statementContext(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	if err := t.pipeline.flush(ctx); err != nil {
		return nil, err
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext is sql.Tx.QueryContext with a cached prepared statement.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.trips.Add(1)
	ctx = t.statementContext(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	if err := t.pipeline.flush(ctx); err != nil {
		return nil, err
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext is sql.Tx.QueryRowContext with a cached prepared statement.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	t.trips.Add(1)
	ctx = t.statementContext(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	_ = t.pipeline.flush(ctx) // end returns the error
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// Column is one column of a table that Dialect.Table makes of parameters.
type Column struct {
	Texts   []string
	Numbers []int64 // used if Texts is nil
}

// Table returns SQL and arguments of a table v with columns c0, c1, … that holds lists of the same
// length. With it one statement handles many rows, and its text does not depend on their number. The
// parameters are the last ones of the statement; first is the number of the first one.
func (d Dialect) Table(first int, columns ...Column) (from string, args []any) {
	if d.Postgres {
		var lists, names []string
		for i, c := range columns {
			typ, arg := "BIGINT", any(c.Numbers)
			if c.Texts != nil {
				typ, arg = "TEXT", c.Texts
			}
			lists = append(lists, fmt.Sprintf("$%d::%s[]", first+i, typ))
			names = append(names, fmt.Sprintf("c%d", i))
			args = append(args, arg)
		}
		return "unnest(" + strings.Join(lists, ", ") + ") AS v(" + strings.Join(names, ", ") + ")", args
	}
	var values []string
	for i := range columns {
		values = append(values, fmt.Sprintf("value ->> %d AS c%d", i, i))
	}
	return fmt.Sprintf("(SELECT %s FROM json_each($%d)) AS v", strings.Join(values, ", "), first), []any{jsonRows(columns)}
}

// jsonRows returns the lists as a JSON array of rows.
func jsonRows(columns []Column) string {
	n := max(len(columns[0].Texts), len(columns[0].Numbers))
	out := []byte{'['}
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		for j, c := range columns {
			out = append(out, "[,"[min(j, 1)])
			if c.Texts == nil {
				out = strconv.AppendInt(out, c.Numbers[i], 10)
				continue
			}
			text, _ := json.Marshal(c.Texts[i]) // a string cannot fail
			out = append(out, text...)
		}
		out = append(out, ']')
	}
	return string(append(out, ']'))
}

// RunsIndexedBy returns the table of runs with an index that SQLite must use. PostgreSQL chooses the
// partial index by itself.
func (d Dialect) RunsIndexedBy(name string) string {
	if d.Postgres {
		return "runs"
	}
	return "runs INDEXED BY " + name
}
