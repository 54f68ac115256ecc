package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"stint.dev/stint/job"
)

// DB is an open database: SQLite in a data directory, or PostgreSQL.
type DB struct {
	// SQLite has one connection for writing and a few for reading. PostgreSQL has a pool for each,
	// with different settings of the planner.
	Writer, Reader *sql.DB
	Dialect        Dialect
	Log            *slog.Logger
	Now            func() time.Time // the server's clock
	// SinceBoot is the time that has passed since the host started, however its clock was set: see clock.SinceBoot.
	SinceBoot func() time.Duration
	// Gate orders transactions; nil for PostgreSQL, and for a process that runs beside a server.
	Gate         gate
	prepared     *statements // of Writer; nil for PostgreSQL
	installation string      // the id of the database
	copiedAt     time.Time   // see CopiedAt
	leader       leader      // for PostgreSQL: see Lead
	Signals      Signals
	jobLocks     jobLocks
	// others has an element for each transaction under way but those of WriteFirst; nil for SQLite.
	others chan struct{}
	// first counts the transactions of WriteFirst that wait or are under way.
	first atomic.Int32
	// Trips counts how often transactions that write have waited for the reply to a statement; statements that
	// PostgreSQL gets together have one.
	Trips atomic.Int64
}

// Dialect holds the differences between SQLite and PostgreSQL.
type Dialect struct {
	Name     string
	Postgres bool
	// Lock is the end of a query that locks the rows that it returns.
	Lock string
	// isConflict reports whether a transaction failed because of another transaction.
	isConflict func(error) bool
}

// ErrRetry makes Write run the transaction again: another server created the same row.
var ErrRetry = errors.New("another server wrote the same row first")

// Close closes the database.
func (s *DB) Close() error {
	err := errors.Join(s.leader.stop(), s.jobLocks.close(), s.Writer.Close())
	if s.Reader != s.Writer {
		err = errors.Join(s.Reader.Close(), err)
	}
	return err
}

// Ping reports whether the database answers and can be written to. It inserts a row and rolls the
// transaction back.
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

// Write runs fn in one transaction and commits it. A transaction that conflicts with one of another
// server is run again, so fn may be called several times. fn may read and change the leases and
// owners only of the runs that touch names: heartbeats of all other runs are stored meanwhile.
func (s *DB) Write(ctx context.Context, touch Touch, fn func(*Tx) error) error {
	return s.write(ctx, touch, s.transactAfterOthers, fn)
}

// WriteFirst is Write for what agents wait for: however many other transactions wait for each other, they leave it a
// connection to PostgreSQL. At most two of it may run at once.
func (s *DB) WriteFirst(ctx context.Context, touch Touch, fn func(*Tx) error) error {
	s.first.Add(1)
	defer s.first.Add(-1)
	return s.write(ctx, touch, s.transact, fn)
}

// transactions runs a function in a transaction.
type transactions func(context.Context, func(*Tx) error) error

func (s *DB) write(ctx context.Context, touch Touch, transact transactions, fn func(*Tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, touch, transact, fn)
		if err == nil && s.prepared != nil {
			// A statement that cannot be prepared is parsed each time.
			_ = s.prepared.prepare(context.WithoutCancel(ctx))
		}
		var begin *beginError
		if err == nil || try == tries || !errors.Is(err, ErrRetry) && !s.Dialect.isConflict(err) && !(s.Dialect.Postgres && errors.As(err, &begin)) {
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

// beginError is the error of a transaction that did not begin. With PostgreSQL the usual cause is a
// pooled connection from before a restart of the database; another connection may work.
type beginError struct{ error }

func (e *beginError) Unwrap() error { return e.error }

func (s *DB) writeOnce(ctx context.Context, touch Touch, transact transactions, fn func(*Tx) error) error {
	if s.Gate == nil {
		return transact(ctx, fn)
	}
	return s.Gate.Write(ctx, touch, transact, fn)
}

// transactAfterOthers is transact when there are few other transactions.
func (s *DB) transactAfterOthers(ctx context.Context, fn func(*Tx) error) error {
	if s.others == nil {
		return s.transact(ctx, fn)
	}
	select {
	case s.others <- struct{}{}:
		defer func() { <-s.others }()
	case <-ctx.Done():
		return fmt.Errorf("wait for other transactions in %s: %w", s.Dialect.Name, ctx.Err())
	}
	return s.transact(ctx, fn)
}

func (s *DB) transact(ctx context.Context, fn func(*Tx) error) error {
	begin, send := s.Writer.BeginTx, (*pipeline)(nil)
	if s.Dialect.Postgres {
		conn, err := s.Writer.Conn(ctx)
		if err != nil {
			return fmt.Errorf("begin a transaction in %s: %w", s.Dialect.Name, err)
		}
		defer conn.Close() //nolint:errcheck // it returns to the pool
		begin, send = conn.BeginTx, &pipeline{conn: conn, trips: &s.Trips}
	}
	t, err := begin(ctx, nil)
	if err != nil {
		return &beginError{fmt.Errorf("begin a transaction in %s: %w", s.Dialect.Name, err)}
	}
	one := &Tx{Tx: t, Dialect: s.Dialect, prepared: s.prepared, Now: s.Now, pipeline: send, Signals: &s.Signals, trips: &s.Trips}
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

// Change runs one statement in a transaction of its own, on a table that is not about runs. what
// names the action in errors.
func (s *DB) Change(ctx context.Context, what, statement string, args ...any) error {
	return s.Write(ctx, None, func(t *Tx) error {
		if _, err := t.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// FlushHeartbeats stores all heartbeats that are only in the log, for a reader that needs current rows.
func (s *DB) FlushHeartbeats(ctx context.Context) error {
	if s.Gate == nil || !s.Gate.HasUnflushed() {
		return nil
	}
	return s.Write(ctx, All, nil)
}

// ForReader completes a run for a reader: with the time of its last heartbeat, which its row may not
// have yet, and with the moments that its sentences name.
func (s *DB) ForReader(run job.Run) job.Run {
	if s.Gate != nil {
		run = s.Gate.WithHeartbeat(run)
	}
	run.SetDerived()
	return run
}

// ReadTexts runs a query whose rows have one text each.
func (s *DB) ReadTexts(ctx context.Context, query string, args ...any) ([]string, error) {
	return QueryTexts(ctx, s.Reader, query, args...)
}
