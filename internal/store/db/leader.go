package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// leaderKey is the advisory lock that the server holds which judges runs ("Stint").
const leaderKey = 0x5374696e74

// leaderWait bounds one question to the database. A server that asked nothing for
// leaderIdle has lost the lock: it is stuck, and another one takes over.
const (
	leaderWait = 5 * time.Second
	leaderIdle = 10 * time.Second
)

// leader is the connection that holds the lock; nil while another server does.
type leader struct {
	mu   sync.Mutex
	conn *sql.Conn
}

// Lead reports whether this server is the one of several that judges runs. On SQLite there
// is only one. On PostgreSQL it is the one that holds a lock of its session, which ends
// with the connection, however the server ends. Ask once a second.
func (s *DB) Lead(ctx context.Context) (bool, error) {
	if !s.Dialect.Postgres {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
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
			err = cerr // back to the pool
		}
		if err != nil {
			return false, fmt.Errorf("ask for the lock of the judging server: %w", err)
		}
		return false, nil
	}
	l.conn = conn
	for _, setting := range []string{
		fmt.Sprintf(`SET idle_session_timeout = %d`, leaderIdle.Milliseconds()), // from PostgreSQL 14 on
		`SET tcp_keepalives_idle = 5`, `SET tcp_keepalives_interval = 2`, `SET tcp_keepalives_count = 3`,
	} {
		if _, err := conn.ExecContext(ctx, setting); err != nil {
			return false, errors.Join(fmt.Errorf("prepare the lock of the judging server (%s): %w", setting, err), l.drop())
		}
	}
	return true, nil
}

// drop closes the connection itself, and with it the lock; it does not go back to the pool.
func (l *leader) drop() error {
	conn := l.conn
	l.conn = nil
	if conn == nil {
		return nil
	}
	if err := dropConn(conn); err != nil {
		return fmt.Errorf("give up the lock of the judging server: %w", err)
	}
	return nil
}

// stop gives the lock up at once, so that another server need not wait.
func (l *leader) stop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop()
}
