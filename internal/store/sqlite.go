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

	"stint.dev/stint/internal/store/segment"
)

// readers is how many connections read; each costs some 3.5 MB. They are more than the reads that
// the server does at once for requests.
const readers = 6

func openSQLite(ctx context.Context, o Options) (*Store, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusable(dir, err)
	}
	if o.file != "" {
		return openNew(ctx, dir, o)
	}
	release, err := lockDir(dir)
	var inUse *InUseError
	beside := o.Beside && errors.As(err, &inUse)
	if beside {
		release, err = func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	if err := isLost(dir); err != nil {
		return nil, errors.Join(err, release())
	}
	if !beside {
		if err := closeToOthers(dir, o.logger()); err != nil {
			return nil, errors.Join(unusable(dir, err), release())
		}
	}
	s, err := openFile(ctx, filepath.Join(dir, databaseName), o.Relaxed, beside)
	if err != nil {
		var newer *NewerSchemaError
		var older *OlderSchemaError
		if errors.As(err, &newer) || errors.As(err, &older) {
			return nil, errors.Join(err, release())
		}
		return nil, errors.Join(unusable(dir, err), release())
	}
	s.release, s.dir = release, dir
	if beside {
		return s, nil // the log of heartbeats is the server's
	}
	if err := s.openLeases(ctx, dir, o.Relaxed); err != nil {
		return nil, errors.Join(unusable(dir, err), s.Close())
	}
	return s, nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("data directory %s cannot be used: %w; give this user the right to write there, or choose another with --data", dir, err)
}

// openFile opens the database in a data directory, and the segments there; beside a server
// only if it has the same schema.
func openFile(ctx context.Context, file string, relaxed, beside bool) (*Store, error) {
	if err := makePrivate(file); err != nil {
		return nil, err
	}
	writer, err := sql.Open("sqlite", sqliteName(file, writing(relaxed)))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer, goose.DialectSQLite3, nil, beside); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	var last int64
	err = writer.QueryRowContext(ctx, `SELECT COALESCE(MAX(segment), 0) FROM blocks WHERE segment IS NOT NULL`).Scan(&last)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look for the last segment: %w", err), writer.Close())
	}
	segments, err := segment.Open(filepath.Join(filepath.Dir(file), "segments"), segment.Options{Relaxed: relaxed, After: last})
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := sql.Open("sqlite", sqliteName(file, reading()))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(readers)
	reader.SetMaxIdleConns(readers)
	d := dialect{name: "SQLite", again: func(error) bool { return false }}
	return &Store{writer: writer, reader: reader, dialect: d, prepared: newStatements(writer), segments: segments}, nil
}

// writing is the settings of the connection that writes: a write-ahead log that is synced
// at every commit, so that what was acknowledged survives a power cut (or, relaxed, only
// when it is moved to the database, which keeps that whole); and transactions that take
// the write lock at once.
func writing(relaxed bool) url.Values {
	synchronous := "synchronous(FULL)"
	if relaxed {
		synchronous = "synchronous(NORMAL)"
	}
	return url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "page_size(8192)", "journal_mode(WAL)", synchronous,
		"foreign_keys(1)", "journal_size_limit(67108864)", "wal_autocheckpoint(4000)",
	}}
}

func reading() url.Values {
	return url.Values{"_txlock": {"deferred"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}
}

// sqliteName is the address of the file with the settings of a connection.
func sqliteName(file string, settings url.Values) string {
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + settings.Encode()
}
