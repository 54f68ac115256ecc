package db

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
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
}

// result turns the reply to a statement into an error: ErrRetry if no row was written and One is set.
func (l *Statement) result(rows int64, err error) error {
	if err == nil && l.One && rows == 0 {
		err = ErrRetry
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

// flush sends the queued statements and waits for all replies.
func (p *pipeline) flush(ctx context.Context) error {
	if p == nil || len(p.queued) == 0 {
		return nil
	}
	queued := p.queued
	p.queued, p.bytes = nil, 0
	err := p.conn.Raw(func(driver any) error {
		return sendBatch(ctx, driver.(*stdlib.Conn).Conn(), queued)
	})
	if p.failed == nil {
		p.failed = err
	}
	return err
}

// end sends the remaining statements. err is the error of the transaction's function. It returns why
// the transaction cannot be committed: the first error, because every later statement fails too.
func (p *pipeline) end(ctx context.Context, err error) error {
	if p == nil {
		return err
	}
	if err == nil {
		err = p.flush(ctx)
	}
	if p.failed != nil {
		return p.failed
	}
	return err
}

func sendBatch(ctx context.Context, conn *pgx.Conn, queued []Statement) (err error) {
	batch := &pgx.Batch{}
	for _, l := range queued {
		batch.Queue(l.Query, l.Args...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() {
		if cerr := results.Close(); err == nil { // else it is the same error
			err = cerr
		}
	}()
	for i := range queued {
		tag, err := results.Exec()
		if err := queued[i].result(tag.RowsAffected(), err); err != nil {
			return err
		}
	}
	return nil
}
