// Package erase overwrites what deleted rows leave in the files of a database. A database marks the room of a deleted row as
// free, and the bytes stay until something else is stored there.
package erase

import (
	"context"

	"stint.dev/stint/internal/store/db"
)

// Eraser erases deleted bytes from a database. Its methods are not for several goroutines at once.
type Eraser struct {
	*db.DB
	// For PostgreSQL: what was rewritten since the request, so that a next try continues.
	request   int64
	rewritten map[string]bool
	warned    bool // the log says that the write-ahead log is not erased
}

// New returns the Eraser of a database.
func New(d *db.DB) *Eraser { return &Eraser{DB: d} }

// Erase erases the bytes of all rows that were deleted before it is called. request is the number of the last deletion that
// asked for it: a call with the same number after a failure continues. erased is false, without an error, if another server
// does it.
func (e *Eraser) Erase(ctx context.Context, request int64) (erased bool, err error) {
	if e.Dialect.Postgres {
		return e.erasePostgres(ctx, request)
	}
	return true, e.eraseSQLite(ctx)
}
