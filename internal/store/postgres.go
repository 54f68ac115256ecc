package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

func openPostgres(ctx context.Context, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w; write it as postgres://user@host/database", err)
	}
	if o.Relaxed {
		config.RuntimeParams["synchronous_commit"] = "off"
	}
	where := fmt.Sprintf("PostgreSQL database %s on %s", config.Database, config.Host)
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	db.SetConnMaxIdleTime(5 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not answer: %w; check the address, and that the server runs", where, err), db.Close())
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // every second, for 5 minutes
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock for migrations: %w", err), db.Close())
	}
	if err := migrate(ctx, db, goose.DialectPostgres, locker); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", where, err), db.Close())
	}
	d := dialect{name: "PostgreSQL", postgres: true, lock: " FOR UPDATE", again: postgresAgain}
	return &Store{writer: db, reader: db, dialect: d, release: func() error { return nil }}, nil
}

// postgresAgain recognises a transaction that failed because of another one: a
// serialization failure, or a deadlock between two servers.
func postgresAgain(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
