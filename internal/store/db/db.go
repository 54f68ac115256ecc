package db

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

// DB is an open database: SQLite in a data directory, or PostgreSQL.
type DB struct {
	// SQLite has one connection that writes and a few that read; PostgreSQL a pool for
	// each, because they are planned differently.
	Writer, Reader *sql.DB
	Dialect        Dialect
	Log            *slog.Logger
	Now            func() time.Time // the server's clock
	// gate admits transactions; nil for PostgreSQL, and beside a server.
	Gate         gate
	prepared     *statements // of writer; nil for PostgreSQL
	installation string      // the id of the database
	copiedAt     time.Time   // see CopiedAt
	leader       leader      // of PostgreSQL: see Lead
	jobLocks     jobLocks
}

// Dialect is what SQLite and PostgreSQL do differently once they are open.
type Dialect struct {
	Name     string
	Postgres bool
	// lock ends a query that reads rows in order to change them.
	Lock string
	// again reports whether a transaction failed only because of another one.
	again func(error) bool
}

// ErrAgain makes write begin the transaction again: another server created the same row.
var ErrAgain = errors.New("another server wrote the same row first")

// Close ends all use of the database.
func (s *DB) Close() error {
	err := errors.Join(s.leader.stop(), s.jobLocks.close(), s.Writer.Close())
	if s.Reader != s.Writer {
		err = errors.Join(s.Reader.Close(), err)
	}
	return err
}

// Ping reports whether the database answers and may be written to. It writes a row and
// takes it back.
func (s *DB) Ping(ctx context.Context) error {
	t, err := s.Writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", s.Dialect.Name, err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ('', 1)`)
	if err = errors.Join(err, t.Rollback()); err != nil {
		return fmt.Errorf("%s cannot be written to: %w", s.Dialect.Name, err)
	}
	return nil
}

// Write runs fn in one transaction and commits it. A transaction that lost against
// another server's is tried again from the start, so fn must be able to run twice. It may depend
// on, and change, the leases and owners of the runs that touch names, and of no others: heartbeats
// of all other runs go on meanwhile.
func (s *DB) Write(ctx context.Context, touch Touch, fn func(*Tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, touch, fn)
		if err == nil && s.prepared != nil {
			// What cannot be prepared now is parsed each time, as before.
			_ = s.prepared.prepare(context.WithoutCancel(ctx))
		}
		var begin *beginError
		if err == nil || try == tries || !errors.Is(err, ErrAgain) && !s.Dialect.again(err) && !(s.Dialect.Postgres && errors.As(err, &begin)) {
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

func (s *DB) writeOnce(ctx context.Context, touch Touch, fn func(*Tx) error) error {
	if s.Gate == nil {
		return s.transact(ctx, fn)
	}
	return s.Gate.Write(ctx, touch, s.transact, fn)
}

func (s *DB) transact(ctx context.Context, fn func(*Tx) error) error {
	begin, send := s.Writer.BeginTx, (*pipeline)(nil)
	if s.Dialect.Postgres {
		conn, err := s.Writer.Conn(ctx)
		if err != nil {
			return fmt.Errorf("begin a transaction in %s: %w", s.Dialect.Name, err)
		}
		defer conn.Close() //nolint:errcheck // it goes back to the others
		begin, send = conn.BeginTx, &pipeline{conn: conn}
	}
	t, err := begin(ctx, nil)
	if err != nil {
		return &beginError{fmt.Errorf("begin a transaction in %s: %w", s.Dialect.Name, err)}
	}
	one := &Tx{Tx: t, Dialect: s.Dialect, prepared: s.prepared, Now: s.Now, pipeline: send}
	err = fn(one)
	if err := send.end(ctx, err); err != nil {
		if rerr := t.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit to %s: %w", s.Dialect.Name, err)
	}
	for _, done := range one.committed {
		done()
	}
	return nil
}

// Change runs one statement in a transaction of its own, on tables that are not about runs.
// what says, for the error, what it was meant to do.
func (s *DB) Change(ctx context.Context, what, statement string, args ...any) error {
	return s.Write(ctx, None, func(t *Tx) error {
		if _, err := t.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// BringUpToDate brings all rows up to date, for a reader that judges by them.
func (s *DB) BringUpToDate(ctx context.Context) error {
	if s.Gate == nil || !s.Gate.Behind() {
		return nil
	}
	return s.Write(ctx, All, nil)
}

// Show puts a heartbeat into a run that its row does not have yet.
func (s *DB) Show(run job.Run) job.Run {
	if s.Gate == nil {
		return run
	}
	return s.Gate.Show(run)
}

// Texts runs a query whose rows are one text each.
func (s *DB) Texts(ctx context.Context, query string, args ...any) ([]string, error) {
	return TextsOf(ctx, s.Reader, query, args...)
}
