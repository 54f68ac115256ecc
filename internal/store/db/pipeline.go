package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Statements that only write are queued and sent to PostgreSQL together, in their order, before the
// transaction reads or commits. A group of a thousand appends has three of them for each append, and
// waiting for each reply took longer than the work.
const (
	PipelineStatements = 300
	pipelineBytes      = 1 << 20 // of texts and data; a single statement may have more
)

// pipeline is the queue of statements of a transaction that are not sent yet.
type pipeline struct {
	conn   *sql.Conn
	trips  *atomic.Int64 // see DB
	queued []Statement
	bytes  int
	failed error // of the first statement that failed; the transaction cannot be committed
}

// Statement is a statement that only writes.
type Statement struct {
	Query string
	Args  []any
	What  string // names the action in errors
	// One says that no row written means that another server was faster.
	One bool
	// Wrote is called if the statement has written a row, when it has run, and may queue others; nil for nothing.
	Wrote func() error
	// ID is set to the number that the statement returns, when it has run; nil for none.
	ID *int64
}

// result turns the reply to a statement into an error: ErrRetry if no row was written and One is set.
func (l *Statement) result(rows int64, err error) error {
	if err == nil && l.One && rows == 0 {
		err = ErrRetry
	}
	if err == nil && rows > 0 && l.Wrote != nil {
		return l.Wrote()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.What, err)
	}
	return nil
}

// Queue runs a statement of which only the error matters. With PostgreSQL it may run later in the
// transaction, and the error may be that of an earlier statement.
func (t *Tx) Queue(ctx context.Context, l Statement) error {
	if t.pipeline == nil {
		if l.ID != nil {
			return l.result(1, t.QueryRowContext(ctx, l.Query, l.Args...).Scan(l.ID))
		}
		res, err := t.ExecContext(ctx, l.Query, l.Args...)
		var rows int64
		if err == nil {
			rows, err = res.RowsAffected()
		}
		return l.result(rows, err)
	}
	p := t.pipeline
	p.queued = append(p.queued, l)
	for _, a := range l.Args {
		switch a := a.(type) {
		case string:
			p.bytes += len(a)
		case []byte:
			p.bytes += len(a)
		}
	}
	if len(p.queued) >= PipelineStatements || p.bytes >= pipelineBytes {
		return p.flush(ctx)
	}
	return nil
}

// ReadRow runs a query and reads its first row; the error is sql.ErrNoRows if it has none. With PostgreSQL the
// statements that are queued are sent with it, so that all of them take one trip.
func (t *Tx) ReadRow(ctx context.Context, query string, args []any, dest ...any) error {
	if t.pipeline == nil {
		return t.QueryRowContext(ctx, query, args...).Scan(dest...)
	}
	return t.pipeline.send(ctx, &rowQuery{query: query, args: args, dest: dest})
}

// rowQuery is a query whose first row is read.
type rowQuery struct {
	query string
	args  []any
	dest  []any
}

// flush sends the queued statements and waits for all replies.
func (p *pipeline) flush(ctx context.Context) error {
	if p == nil || len(p.queued) == 0 {
		return nil
	}
	return p.send(ctx, nil)
}

// send sends the queued statements, then a query unless it is nil, and waits for all replies. That the query has no
// row does not make the transaction fail.
func (p *pipeline) send(ctx context.Context, read *rowQuery) error {
	p.trips.Add(1)
	queued := p.queued
	p.queued, p.bytes = nil, 0
	var none error
	err := p.conn.Raw(func(driver any) (err error) {
		none, err = sendBatch(ctx, driver.(*stdlib.Conn).Conn(), queued, read)
		return err
	})
	if p.failed == nil {
		p.failed = err
	}
	return errors.Join(err, none)
}

// end sends the remaining statements. err is the error of the transaction's function. It returns why
// the transaction cannot be committed: the first error, because every later statement fails too.
func (p *pipeline) end(ctx context.Context, err error) error {
	if p == nil {
		return err
	}
	for err == nil && len(p.queued) > 0 { // a statement may have queued others
		err = p.flush(ctx)
	}
	if p.failed != nil {
		return p.failed
	}
	return err
}

// sendBatch sends statements and a query, which may be nil. none is sql.ErrNoRows if the query has no row.
func sendBatch(ctx context.Context, conn *pgx.Conn, queued []Statement, read *rowQuery) (none, err error) {
	batch := &pgx.Batch{}
	for _, l := range queued {
		batch.Queue(l.Query, l.Args...)
	}
	if read != nil {
		batch.Queue(read.query, read.args...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() {
		if cerr := results.Close(); err == nil { // else it is the same error
			err = cerr
		}
	}()
	for i := range queued {
		rows := int64(1)
		var err error
		if id := queued[i].ID; id != nil {
			err = results.QueryRow().Scan(id)
		} else {
			var tag pgconn.CommandTag
			tag, err = results.Exec()
			rows = tag.RowsAffected()
		}
		if err := queued[i].result(rows, err); err != nil {
			return nil, err
		}
	}
	if read == nil {
		return nil, nil
	}
	err = results.QueryRow().Scan(read.dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return sql.ErrNoRows, nil
	}
	return nil, err
}
