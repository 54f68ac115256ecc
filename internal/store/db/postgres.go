package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Connections that write: two are held for locks and notifications of the session, and two are left for WriteFirst.
const (
	maxWriters = 12
	maxOthers  = 8
)

// OpenPostgres opens the database at an address. With beside, the process runs beside a server, and the
// database must have the schema of this version.
func OpenPostgres(ctx context.Context, address string, relaxed, beside bool) (*DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w; write it as postgres://user@host/database", err)
	}
	if relaxed {
		config.RuntimeParams["synchronous_commit"] = "off"
	}
	where := fmt.Sprintf("PostgreSQL database %s on %s", config.Database, config.Host)
	db, reader := postgresPool(config, maxWriters, postgresWriterSettings...), postgresPool(config, 8, postgresReaderSettings...)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer: %w; check the address, and that the server runs", where, err), db.Close(), reader.Close())
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // every second, for 5 minutes
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock for migrations: %w", err), db.Close(), reader.Close())
	}
	if err := migrate(ctx, db, goose.DialectPostgres, locker, beside); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", where, err), db.Close(), reader.Close())
	}
	d := Dialect{Name: "PostgreSQL", Postgres: true, Lock: " FOR UPDATE", isConflict: isPostgresConflict}
	locks := postgresPool(config, maxJobLockConns, fmt.Sprintf(`SET idle_session_timeout = %d`, jobLockIdleTimeout.Milliseconds()))
	locks.SetConnMaxIdleTime(jobLockIdleTimeout / 2)
	return &DB{Writer: db, Reader: reader, Dialect: d, jobLocks: jobLocks{db: locks}, others: make(chan struct{}, maxOthers), Signals: Signals{id: rand.Text()}}, nil
}

// postgresWriterSettings are the settings of connections that write. The transaction of a server whose
// host died is ended after 5 minutes, which releases its locks and makes later events visible.
var postgresWriterSettings = []string{`SET idle_in_transaction_session_timeout = '5min'`}

// postgresReaderSettings are the settings of connections that read. The best plan of a page depends on
// its filters, so each query is planned with its arguments. Compilation takes longer than any query.
var postgresReaderSettings = []string{`SET plan_cache_mode = force_custom_plan`, `SET jit = off`}

// postgresPool returns a pool that applies the settings to each connection that it opens.
func postgresPool(config *pgx.ConnConfig, maxConns int, settings ...string) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		for _, one := range settings {
			if _, err := conn.Exec(ctx, one); err != nil {
				return fmt.Errorf("prepare a connection (%s): %w", one, err)
			}
		}
		return nil
	}))})
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns) // a new connection costs more than many transactions
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// isPostgresConflict reports whether a transaction failed because of another one: by a
// serialization failure, or a deadlock between two servers.
func isPostgresConflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
