package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// statements keeps the texts of the writing connection of SQLite prepared: parsing one
// costs more than running it. pgx does the same by itself.
type statements struct {
	db     *sql.DB
	mu     sync.Mutex
	ready  map[string]*sql.Stmt
	wanted map[string]bool // used in a transaction, and not prepared yet
}

// mostStatements bounds what is kept; the program has far fewer texts.
const mostStatements = 200

func newStatements(db *sql.DB) *statements {
	return &statements{db: db, ready: map[string]*sql.Stmt{}, wanted: map[string]bool{}}
}

// get returns the prepared statement of a text, nil if there is none yet.
func (s *statements) get(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt := s.ready[query]
	if stmt == nil && len(s.ready)+len(s.wanted) < mostStatements {
		s.wanted[query] = true
	}
	return stmt
}

// prepare prepares what the last transactions wanted. It takes the writing connection,
// so no transaction may be open.
func (s *statements) prepare(ctx context.Context) error {
	s.mu.Lock()
	wanted := s.wanted
	s.wanted = map[string]bool{} // never read without the lock while get may write to it
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
		if stmt != nil { // two transactions wanted it
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
	// committed is called once the transaction is.
	committed []func()
}

// OnCommit has fn called once the transaction is committed, and before the next one that touches
// the same runs begins.
func (t *Tx) OnCommit(fn func()) { t.committed = append(t.committed, fn) }

// local takes the end off a context in SQLite: there a statement takes microseconds, and
// watching for the end of each costs more.
func (t *Tx) local(ctx context.Context) context.Context {
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

// ExecContext is that of sql.Tx, with statements prepared once.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = t.local(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	if err := t.pipeline.flush(ctx); err != nil {
		return nil, err
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// QueryContext is that of sql.Tx, with statements prepared once.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.local(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	if err := t.pipeline.flush(ctx); err != nil {
		return nil, err
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext is that of sql.Tx, with statements prepared once.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = t.local(ctx)
	if stmt := t.stmt(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	_ = t.pipeline.flush(ctx) // its end tells of the error
	return t.Tx.QueryRowContext(ctx, query, args...)
}

// Column is one column of a table made of parameters.
type Column struct {
	Texts   []string
	Numbers []int64 // when texts is nil
}

// Table writes lists of one length as a table v with columns c0, c1, …, so that one
// statement handles many rows, whose text is the same for any number of them. Its
// parameters are the last of the statement and begin with the given number.
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

// jsonRows is the lists as a JSON array of rows.
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
			text, _ := json.Marshal(c.Texts[i]) // a text has no way to fail
			out = append(out, text...)
		}
		out = append(out, ']')
	}
	return string(append(out, ']'))
}

// RunsBy is the runs, to be read off an index of few of them. PostgreSQL knows that they
// are few.
func (d Dialect) RunsBy(name string) string {
	if d.Postgres {
		return "runs"
	}
	return "runs INDEXED BY " + name
}
