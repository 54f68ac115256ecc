package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"
)

const (
	// jobLockClass separates these advisory locks of PostgreSQL from others ("job").
	jobLockClass = 0x6a6f62
	// jobLockTimeout bounds the wait for a lock. A server that holds one and asked the database
	// nothing for jobLockIdle is stuck, and loses it.
	jobLockTimeout = 15 * time.Second
	jobLockIdle    = 10 * time.Second
	// jobLockConns is how many locks a server holds or waits for at the same time. They have
	// connections of their own: who holds one needs another for what it does.
	jobLockConns = 8
)

// jobLocks are one lock per name in use.
type jobLocks struct {
	mu    sync.Mutex
	names map[string]*jobLock
	db    *sql.DB // of the locks that all servers of a database share; nil where there is only one
}

type jobLock struct {
	free  chan struct{} // holds a token while nobody has the lock
	users int
}

// LockJob returns once nobody else, on this server or another one of the database, holds the lock
// of a job's name, and keeps it until unlock is called.
func (s *DB) LockJob(ctx context.Context, name string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, jobLockTimeout)
	defer cancel()
	release, err := s.jobLocks.lock(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("wait for the lock of job %s: %w", name, err)
	}
	if s.jobLocks.db == nil {
		return release, nil
	}
	shared, err := lockShared(ctx, s.jobLocks.db, name)
	if err != nil {
		release()
		return nil, fmt.Errorf("wait for the lock of job %s in the database: %w", name, err)
	}
	return func() { shared(); release() }, nil
}

func (l *jobLocks) lock(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.names == nil {
		l.names = map[string]*jobLock{}
	}
	one := l.names[name]
	if one == nil {
		one = &jobLock{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		l.names[name] = one
	}
	one.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.names, name)
		}
	}
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// lockShared takes the lock of the database's session, which ends with the connection, however
// the server ends.
func lockShared(ctx context.Context, db *sql.DB, name string) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // never fails
	key := int32(hash.Sum32())
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1, $2)`, jobLockClass, key); err != nil {
		return nil, errors.Join(err, dropConn(conn))
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobLockTimeout)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, $2)`, jobLockClass, key); err != nil {
			_ = dropConn(conn) // the lock ends with it
			return
		}
		_ = conn.Close() // back to the pool, which closes it if that is not possible
	}, nil
}

// dropConn closes a connection itself; it does not go back to the pool.
func dropConn(conn *sql.Conn) error {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	if cerr := conn.Close(); err == nil && !errors.Is(cerr, sql.ErrConnDone) && !errors.Is(cerr, driver.ErrBadConn) {
		err = cerr
	}
	return err
}

func (l *jobLocks) close() error {
	if l.db == nil {
		return nil
	}
	return l.db.Close()
}
