package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Own is a PostgreSQL server of a single test, which may stop and start it. Unlike the shared
// server, it writes every commit to the kernel before it acknowledges it: acknowledged commits
// survive a crash of its processes.
type Own struct {
	c  *cluster
	up bool
}

// ErrMissing is returned if this machine has no PostgreSQL.
var ErrMissing = errMissing

// StartOwn creates and starts a PostgreSQL server with settings NAME=VALUE. It returns ErrMissing
// if there is none on this machine.
func StartOwn(settings ...string) (*Own, error) {
	c, err := startWith(append([]string{"synchronous_commit=on"}, settings...)...)
	if err != nil {
		return nil, err
	}
	return &Own{c: c, up: true}, nil
}

// Create creates an empty database and returns its URL.
func (o *Own) Create(ctx context.Context, name string) (string, error) {
	if err := o.c.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return o.c.url(name), nil
}

// Drop deletes a database and closes all connections to it.
func (o *Own) Drop(ctx context.Context, name string) error {
	return o.c.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// Written returns how many bytes the server has written to its log so far.
func (o *Own) Written(ctx context.Context) (n int64, err error) {
	conn, err := pgx.Connect(ctx, o.c.url("postgres"))
	if err != nil {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&n)
	return n, errors.Join(err, conn.Close(ctx))
}

// Down stops the server: cleanly, or like a crash.
func (o *Own) Down(crash bool) error {
	if !o.up {
		return nil
	}
	o.up = false
	how := syscall.SIGINT
	if crash {
		how = syscall.SIGQUIT
	}
	return o.c.down(how)
}

// Up starts the server again with its data.
func (o *Own) Up() error {
	if o.up {
		return nil
	}
	if err := o.c.up(); err != nil {
		return err
	}
	o.up = true
	return nil
}

// Close stops the server and removes its files.
func (o *Own) Close() error {
	return errors.Join(o.Down(false), os.RemoveAll(o.c.dir))
}

// Save stops the server cleanly, copies its files, and starts it again. restore puts the copy in place of the
// files, as one who promotes a standby that lacks the last commits: the server must be down for it.
func (o *Own) Save() (restore func() error, err error) {
	if err := o.Down(false); err != nil {
		return nil, err
	}
	data, saved := filepath.Join(o.c.dir, "data"), filepath.Join(o.c.dir, "saved")
	copied := exec.Command("cp", "-a", data, saved)
	if out, err := copied.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the files of PostgreSQL: %w: %s", err, out), o.Up())
	}
	return func() error { return errors.Join(os.RemoveAll(data), os.Rename(saved, data)) }, o.Up()
}
