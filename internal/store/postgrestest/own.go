package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Own is a PostgreSQL of one test alone, which may end and begin it. Other than the shared
// one, it has every commit in the kernel's hands before it says so: what it acknowledged
// survives any end of its processes.
type Own struct {
	c  *cluster
	up bool
}

// ErrMissing says that this machine has no PostgreSQL.
var ErrMissing = errMissing

// StartOwn makes and starts a PostgreSQL with settings NAME=VALUE. It returns ErrMissing
// where there is none.
func StartOwn(settings ...string) (*Own, error) {
	c, err := startWith(append([]string{"synchronous_commit=on"}, settings...)...)
	if err != nil {
		return nil, err
	}
	return &Own{c: c, up: true}, nil
}

// Create makes an empty database and returns its address.
func (o *Own) Create(ctx context.Context, name string) (string, error) {
	if err := o.c.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return o.c.url(name), nil
}

// Drop removes a database, whoever is connected to it.
func (o *Own) Drop(ctx context.Context, name string) error {
	return o.c.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// Down ends it: in good order, or as a crash would.
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

// Up begins it again, on what it kept.
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

// Close ends it and removes its files.
func (o *Own) Close() error {
	return errors.Join(o.Down(false), os.RemoveAll(o.c.dir))
}
