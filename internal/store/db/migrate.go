package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// NewerSchemaError is the error of a database that a newer stint has written.
type NewerSchemaError struct{ Have, Want int64 }

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, and this stint knows versions up to %d: use a newer stint", e.Have, e.Want)
}

// OlderSchemaError is the error of a database that an older stint has written, and that a server of
// that version may be using.
type OlderSchemaError struct{ Have, Want int64 }

func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("the database has schema version %d, and this stint works with version %d: a server of another version may be using it; "+
		"use the stint of that server, or start the new server first, which brings the schema up to date", e.Have, e.Want)
}

// migrate brings the schema up to date. The locker, if there is one, keeps two servers from migrating
// at the same time. With beside, the process runs beside a server: then no schema is changed that a
// server may be using, which without a locker is any schema, and with one any but an empty one.
func migrate(ctx context.Context, db *sql.DB, d goose.Dialect, locker lock.SessionLocker, beside bool) error {
	dir := "migrations/postgres"
	if d == goose.DialectSQLite3 {
		dir = "migrations/sqlite"
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return fmt.Errorf("embedded migrations: %w", err)
	}
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithTableName("schema_version")}
	if locker != nil {
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(d, db, files, opts...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if have > want {
		return &NewerSchemaError{Have: have, Want: want}
	}
	if beside && (have > 0 || locker == nil) {
		if have < want {
			return &OlderSchemaError{Have: have, Want: want}
		}
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema from version %d to %d: %w", have, want, err)
	}
	return nil
}
