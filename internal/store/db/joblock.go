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
	// jobLockClass distinguishes these advisory locks of PostgreSQL from others ("job").
	jobLockClass = 0x6a6f62
	// jobLockTimeout limits the wait for a lock. PostgreSQL ends the session of a server, and with it
	// the lock, when the server sends no query for jobLockIdleTimeout.
	jobLockTimeout     = 15 * time.Second
	jobLockIdleTimeout = 10 * time.Second
	// maxJobLockConns is the number of locks that a server holds or waits for at the same time. They
	// use connections of their own, because the holder of a lock needs another one for its queries.
	maxJobLockConns = 8
)

// jobLocks holds a lock for each name in use.
type jobLocks struct {
	mu    sync.Mutex
	names map[string]*jobLock
	db    *sql.DB // for the locks that all servers of a database share; nil for SQLite
}

type jobLock struct {
	free  chan struct{} // holds a token while nobody has the lock
	users int
}

// LockJob waits for the lock of a job's name, which all servers of the database share, and holds it
// until unlock is called.
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

// lockShared takes an advisory lock of a database session. The lock ends with the connection,
// however the server ends.
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
			_ = dropConn(conn) // which releases the lock
			return
		}
		_ = conn.Close() // returns it to the pool
	}, nil
}

// dropConn closes a connection instead of returning it to the pool.
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
