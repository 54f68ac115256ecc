package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"stint.dev/stint/job"
)

// database is an open database: SQLite in a data directory, or PostgreSQL.
type database struct {
	// SQLite has one connection that writes and a few that read; PostgreSQL a pool for
	// each, because they are planned differently.
	writer, reader *sql.DB
	dialect        dialect
	log            *slog.Logger
	now            func() time.Time // the server's clock
	// gate stands in front of transactions; nil for PostgreSQL, and beside a server.
	gate         gate
	prepared     *statements // of writer; nil for PostgreSQL
	installation string      // the id of the database
	copiedAt     time.Time   // see CopiedAt
	leader       leader      // of PostgreSQL: see Lead
	jobLocks     jobLocks
}

// dialect is what SQLite and PostgreSQL do differently once they are open.
type dialect struct {
	name     string
	postgres bool
	// lock ends a query that reads rows in order to change them.
	lock string
	// again reports whether a transaction failed only because of another one.
	again func(error) bool
}

// errAgain makes write begin the transaction again: another server created the same row.
var errAgain = errors.New("another server wrote the same row first")

// close ends all use of the database.
func (s *database) close() error {
	err := errors.Join(s.leader.stop(), s.jobLocks.close(), s.writer.Close())
	if s.reader != s.writer {
		err = errors.Join(s.reader.Close(), err)
	}
	return err
}

// Ping reports whether the database answers and may be written to. It writes a row and
// takes it back.
func (s *database) Ping(ctx context.Context) error {
	t, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", s.dialect.name, err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ('', 1)`)
	if err = errors.Join(err, t.Rollback()); err != nil {
		return fmt.Errorf("%s cannot be written to: %w", s.dialect.name, err)
	}
	return nil
}

// write runs fn in one transaction and commits it. A transaction that lost against
// another server's is tried again from the start, so fn must be able to run twice. It may depend
// on, and change, the leases and owners of the runs that touch names, and of no others: heartbeats
// of all other runs go on meanwhile.
func (s *database) write(ctx context.Context, touch touch, fn func(*tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, touch, fn)
		if err == nil && s.prepared != nil {
			// What cannot be prepared now is parsed each time, as before.
			_ = s.prepared.prepare(context.WithoutCancel(ctx))
		}
		var begin *beginError
		if err == nil || try == tries || !errors.Is(err, errAgain) && !s.dialect.again(err) && !(s.dialect.postgres && errors.As(err, &begin)) {
			return err
		}
		pause := time.NewTimer(time.Duration(1+rand.IntN(5*try)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// beginError is a transaction that has not begun. With PostgreSQL its connection was mostly made
// before a restart of the database; another one may be good.
type beginError struct{ error }

func (e *beginError) Unwrap() error { return e.error }

func (s *database) writeOnce(ctx context.Context, touch touch, fn func(*tx) error) error {
	if s.gate == nil {
		return s.transact(ctx, fn)
	}
	return s.gate.Write(ctx, touch, s.transact, fn)
}

func (s *database) transact(ctx context.Context, fn func(*tx) error) error {
	begin, send := s.writer.BeginTx, (*pipeline)(nil)
	if s.dialect.postgres {
		conn, err := s.writer.Conn(ctx)
		if err != nil {
			return fmt.Errorf("begin a transaction in %s: %w", s.dialect.name, err)
		}
		defer conn.Close() //nolint:errcheck // it goes back to the others
		begin, send = conn.BeginTx, &pipeline{conn: conn}
	}
	t, err := begin(ctx, nil)
	if err != nil {
		return &beginError{fmt.Errorf("begin a transaction in %s: %w", s.dialect.name, err)}
	}
	one := &tx{Tx: t, dialect: s.dialect, prepared: s.prepared, now: s.now, pipeline: send}
	err = fn(one)
	if err := send.end(ctx, err); err != nil {
		if rerr := t.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit to %s: %w", s.dialect.name, err)
	}
	for _, done := range one.committed {
		done()
	}
	return nil
}

// change runs one statement in a transaction of its own, on tables that are not about runs.
// what says, for the error, what it was meant to do.
func (s *database) change(ctx context.Context, what, statement string, args ...any) error {
	return s.write(ctx, noRuns, func(t *tx) error {
		if _, err := t.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// settleNow brings all rows up to date, for a reader that judges by them.
func (s *database) settleNow(ctx context.Context) error {
	if s.gate == nil || !s.gate.Behind() {
		return nil
	}
	return s.write(ctx, allRuns, nil)
}

// show puts a heartbeat into a run that its row does not have yet.
func (s *database) show(run job.Run) job.Run {
	if s.gate == nil {
		return run
	}
	return s.gate.Show(run)
}

// texts runs a query whose rows are one text each.
func (s *database) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	return textsOf(ctx, s.reader, query, args...)
}
