package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// readers is how many connections read; each costs some 3.5 MB.
const readers = 3

func openSQLite(ctx context.Context, dir string, beside bool) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, unusable(dir, err)
	}
	release, err := lockDir(dir)
	var inUse *InUseError
	if beside && errors.As(err, &inUse) {
		release, err = func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := openFile(ctx, filepath.Join(dir, "stint.db"), release)
	if err != nil {
		var newer *NewerSchemaError
		if errors.As(err, &newer) {
			return nil, errors.Join(err, release())
		}
		return nil, errors.Join(unusable(dir, err), release())
	}
	return s, nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("data directory %s cannot be used: %w; give this user the right to write there, or choose another with --data", dir, err)
}

func openFile(ctx context.Context, file string, release func() error) (*Store, error) {
	writer, err := sql.Open("sqlite", sqliteName(file, false))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer, goose.DialectSQLite3, nil); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := sql.Open("sqlite", sqliteName(file, true))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	d := dialect{name: "SQLite", again: func(error) bool { return false }}
	return &Store{writer: writer, reader: reader, dialect: d, release: release}, nil
}

// sqliteName is the address of the file with the settings of a connection: a write-ahead
// log that is synced at every commit, so that what was acknowledged survives a power cut;
// transactions that take the write lock at once; and pages large enough for blocks of a
// journal.
func sqliteName(file string, readOnly bool) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "page_size(8192)", "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(1)", "journal_size_limit(67108864)", "wal_autocheckpoint(4000)",
	}}
	if readOnly {
		q = url.Values{"_txlock": {"deferred"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}
	}
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + q.Encode()
}
