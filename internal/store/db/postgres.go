package db

import (
	"context"
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

// OpenPostgres opens the database at an address. Beside a server it must have the same schema.
func OpenPostgres(ctx context.Context, address string, relaxed, beside bool) (*DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w; write it as postgres://user@host/database", err)
	}
	if relaxed {
		config.RuntimeParams["synchronous_commit"] = "off"
	}
	where := fmt.Sprintf("PostgreSQL database %s on %s", config.Database, config.Host)
	db, reader := postgresPool(config, 12, writingPostgres...), postgresPool(config, 8, readingPostgres...)
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
	d := Dialect{Name: "PostgreSQL", Postgres: true, Lock: " FOR UPDATE", again: postgresAgain}
	locks := postgresPool(config, jobLockConns, fmt.Sprintf(`SET idle_session_timeout = %d`, jobLockIdle.Milliseconds()))
	locks.SetConnMaxIdleTime(jobLockIdle / 2)
	return &DB{Writer: db, Reader: reader, Dialect: d, jobLocks: jobLocks{db: locks}}, nil
}

// writingPostgres is the settings of connections that write. The transaction of a server whose
// host has died ends after some minutes: what it locked is free, and events behind it are seen.
var writingPostgres = []string{`SET idle_in_transaction_session_timeout = '5min'`}

// readingPostgres is the settings of connections that read. What filters a page has
// decides how it is found, so it is planned each time; and compiling a query takes longer
// than any of ours.
var readingPostgres = []string{`SET plan_cache_mode = force_custom_plan`, `SET jit = off`}

// postgresPool makes connections as they are needed, each with settings.
func postgresPool(config *pgx.ConnConfig, most int, settings ...string) *sql.DB {
	db := sql.OpenDB(connector{stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		for _, one := range settings {
			if _, err := conn.Exec(ctx, one); err != nil {
				return fmt.Errorf("prepare a connection (%s): %w", one, err)
			}
		}
		return nil
	}))})
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most / 2)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// postgresAgain recognises a transaction that failed because of another one: a
// serialization failure, or a deadlock between two servers.
func postgresAgain(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
