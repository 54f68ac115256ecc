package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// readyChannel is the channel of PostgreSQL on which servers notify each other that a run is ready. The text of a
// notification is the id of its server.
const readyChannel = "stint_ready"

// While a server waits for notifications, it asks at this interval whether the connection works.
const (
	listenInterval = 10 * time.Second
	listenTimeout  = 5 * time.Second
)

// RaiseReady raises the signal Ready of all servers of the database when the transaction is committed.
func (t *Tx) RaiseReady(ctx context.Context) error {
	if t.raisesReady {
		return nil
	}
	t.raisesReady = true
	t.OnCommit(t.Signals.Ready.Raise)
	if !t.Dialect.Postgres {
		return nil
	}
	return t.Queue(ctx, Statement{Query: `SELECT pg_notify($1, $2)`, Args: []any{readyChannel, t.Signals.id}, What: "notify other servers that a run is ready"})
}

// ListenReady raises the signal Ready when another server of the database has made a run ready, until ctx ends or the
// connection fails. When it begins it raises the signal, for what was not noticed before, and calls listens. With SQLite
// there is no other server, and it returns at once.
func (s *DB) ListenReady(ctx context.Context, listens func()) (err error) {
	if !s.Dialect.Postgres {
		return nil
	}
	conn, err := s.Writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect for notifications of other servers: %w", err)
	}
	defer func() {
		derr := dropConn(conn) // it must not return to the pool, because it listens
		if ctx.Err() != nil {
			err = nil
			return
		}
		err = errors.Join(fmt.Errorf("wait for notifications of other servers: %w", err), derr)
	}()
	if _, err := conn.ExecContext(ctx, `LISTEN `+readyChannel); err != nil {
		return err
	}
	listens()
	s.Signals.Ready.Raise()
	for {
		n, err := waitForNotification(ctx, conn.Raw)
		switch {
		case err != nil:
			return err
		case n == nil:
			check, cancel := context.WithTimeout(ctx, listenTimeout)
			_, err := conn.ExecContext(check, `SELECT 1`)
			cancel()
			if err != nil {
				return err
			}
		case n.Payload != s.Signals.id:
			s.Signals.Ready.Raise()
		}
	}
}

// waitForNotification returns the next notification; nil if there was none for a while.
func waitForNotification(ctx context.Context, raw func(func(any) error) error) (n *pgconn.Notification, err error) {
	wait, cancel := context.WithTimeout(ctx, listenInterval)
	defer cancel()
	err = raw(func(driver any) (err error) {
		n, err = driver.(*stdlib.Conn).Conn().WaitForNotification(wait)
		return err
	})
	if err != nil && ctx.Err() == nil && pgconn.Timeout(err) {
		return nil, nil //nolint:nilnil // no notification is no error
	}
	return n, err
}
