package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leaderKey is the advisory lock of the server that judges runs ("Stint").
const leaderKey = 0x5374696e74

// leaderQueryTimeout limits one query. PostgreSQL ends the session of a server, and with it the lock,
// when the server sends no query for leaderIdleTimeout; another server takes over then.
const (
	leaderQueryTimeout = 5 * time.Second
	leaderIdleTimeout  = 10 * time.Second
)

// leader holds the connection that has the lock.
type leader struct {
	mu   sync.Mutex
	conn *sql.Conn // nil while another server has the lock
}

// Lead reports whether this server is the one that judges runs. With SQLite there is only one server.
// With PostgreSQL it is the one that holds an advisory lock of its session, which ends with the
// connection, however the server ends. Call it once a second.
func (s *DB) Lead(ctx context.Context) (bool, error) {
	if !s.Dialect.Postgres {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaderQueryTimeout)
	defer cancel()
	s.leader.mu.Lock()
	defer s.leader.mu.Unlock()
	if s.leader.conn == nil {
		return s.leader.try(ctx, s.Writer)
	}
	var one int
	if err := s.leader.conn.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return false, errors.Join(fmt.Errorf("the connection that holds the lock of the judging server: %w", err), s.leader.drop())
	}
	return true, nil
}

func (l *leader) try(ctx context.Context, db *sql.DB) (bool, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("connect for the lock of the judging server: %w", err)
	}
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, leaderKey).Scan(&got); err != nil || !got {
		if cerr := conn.Close(); err == nil {
			err = cerr // it returns to the pool
		}
		if err != nil {
			return false, fmt.Errorf("request the lock of the judging server: %w", err)
		}
		return false, nil
	}
	l.conn = conn
	for _, setting := range []string{
		fmt.Sprintf(`SET idle_session_timeout = %d`, leaderIdleTimeout.Milliseconds()), // from PostgreSQL 14 on
		`SET tcp_keepalives_idle = 5`, `SET tcp_keepalives_interval = 2`, `SET tcp_keepalives_count = 3`,
	} {
		if _, err := conn.ExecContext(ctx, setting); err != nil {
			return false, errors.Join(fmt.Errorf("prepare the lock of the judging server (%s): %w", setting, err), l.drop())
		}
	}
	return true, nil
}

// drop closes the connection, which releases the lock.
func (l *leader) drop() error {
	conn := l.conn
	l.conn = nil
	if conn == nil {
		return nil
	}
	if err := dropConn(conn); err != nil {
		return fmt.Errorf("release the lock of the judging server: %w", err)
	}
	return nil
}

// stop releases the lock, so that another server does not have to wait for the end of the session.
func (l *leader) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop()
}
