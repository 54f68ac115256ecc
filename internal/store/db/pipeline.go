package db

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Statements that only write need not be answered one by one. To PostgreSQL they go
// together, in their order, before the transaction asks for anything or commits: a group of
// a thousand appends has three of them for each, and waiting for every answer took longer
// than the work.
const (
	PipelineStatements = 300
	pipelineBytes      = 1 << 20 // of texts and data; a single statement may have more
)

// pipeline is the statements of a transaction that were not sent yet.
type pipeline struct {
	conn   *sql.Conn
	queued []Statement
	bytes  int
	failed error // of the first statement that did; the transaction cannot be committed
}

// Statement is a statement that only writes, and what it is to say when that fails.
type Statement struct {
	Query string
	Args  []any
	What  string
	// one is true where no row written means that another server was faster.
	One bool
}

// done turns the answer to a statement into an error, ErrAgain where no row was written
// and one had to be.
func (l *Statement) done(rows int64, err error) error {
	if err == nil && l.One && rows == 0 {
		err = ErrAgain
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.What, err)
	}
	return nil
}

// Later is ExecContext of a statement whose answer matters only if it failed. Its error
// may be that of an earlier one.
func (t *Tx) Later(ctx context.Context, l Statement) error {
	if t.pipeline == nil {
		res, err := t.ExecContext(ctx, l.Query, l.Args...)
		var rows int64
		if err == nil {
			rows, err = res.RowsAffected()
		}
		return l.done(rows, err)
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

// flush sends what is queued and waits for all answers.
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

// end sends what is left. What it returns is why the transaction, whose work ended with
// err, cannot be committed: what failed first, for all that follows fails too.
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
		if cerr := results.Close(); err == nil { // else it says the same again
			err = cerr
		}
	}()
	for i := range queued {
		tag, err := results.Exec()
		if err := queued[i].done(tag.RowsAffected(), err); err != nil {
			return err
		}
	}
	return nil
}
