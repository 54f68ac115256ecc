package db

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // the driver "sqlite" too
)

// maxReaders is the number of connections that read; each costs some 3.5 MB. It is more than the reads that
// the server does at once for requests.
const maxReaders = 6

// OpenSQLite opens the database in a file, which it creates if it is missing. With beside, the process
// runs beside a server, and the database must have the schema of this version.
func OpenSQLite(ctx context.Context, file string, relaxed, beside bool) (*DB, error) {
	writer, err := sql.Open("sqlite", sqliteName(file, writerSettings(relaxed)))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer, goose.DialectSQLite3, nil, beside); err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader, err := OpenReadOnly(file)
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(maxReaders)
	reader.SetMaxIdleConns(maxReaders)
	d := Dialect{Name: "SQLite", isConflict: func(error) bool { return false }}
	return &DB{Writer: writer, Reader: reader, Dialect: d, prepared: newStatements(writer)}, nil
}

// writing is the settings of the connection that writes: a write-ahead log that is synced
// at every commit, so that what was acknowledged survives a power cut (or, relaxed, only
// when it is moved to the database, which keeps that whole); and transactions that take
// the write lock at once.
func writerSettings(relaxed bool) url.Values {
	synchronous := "synchronous(FULL)"
	if relaxed {
		synchronous = "synchronous(NORMAL)"
	}
	return url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "page_size(8192)", "journal_mode(WAL)", synchronous,
		"foreign_keys(1)", "journal_size_limit(67108864)", "wal_autocheckpoint(4000)",
	}}
}

// OpenReadOnly opens the database in a file for reading.
func OpenReadOnly(file string) (*sql.DB, error) {
	return sql.Open("sqlite", sqliteName(file, readerSettings()))
}

func readerSettings() url.Values {
	return url.Values{"_txlock": {"deferred"}, "_pragma": {"busy_timeout(10000)", "query_only(1)"}}
}

// sqliteName returns the data source name of a file with the settings of a connection.
func sqliteName(file string, settings url.Values) string {
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + settings.Encode()
}

// The primary result codes of SQLite that a person can do something about.
const (
	codeBusy       = 5
	codeCorrupt    = 11
	codeNoDatabase = 26
)

// Advice says what to do about an error of SQLite; it is empty for errors of other kinds.
func Advice(err error) string {
	var coded *sqlite.Error
	if !errors.As(err, &coded) {
		return ""
	}
	switch coded.Code() & 0xff { // the rest of an extended code says more about the cause
	case codeBusy:
		return "another program has the database open, such as sqlite3 with a transaction: end it"
	case codeCorrupt, codeNoDatabase:
		return "the database is damaged: put it back from a backup, or build it anew from the journals with: stint server check --rebuild"
	}
	return ""
}
