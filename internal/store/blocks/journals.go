package blocks

import (
	"context"
	"fmt"
	"io"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
)

// Archive stores packed journals. internal/archive implements it.
type Archive interface {
	// Put stores an object of size bytes durably and atomically.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// ReadRange returns n bytes from an offset; the error of a missing object is fs.ErrNotExist.
	ReadRange(ctx context.Context, key string, off, n int64) ([]byte, error)
	// Delete removes an object. It returns no error for one that does not exist.
	Delete(ctx context.Context, key string) error
}

// Journals stores the bytes of journals, in rows, segments or an archive.
type Journals struct {
	*db.DB
	Segments *segment.Log // nil for PostgreSQL
	Archive  Archive      // may be nil
	cache    *frameCache
	Server   string // the name of this server, among those on the database
	RunLog   int64  // the length from which journals are trimmed; 0 for no limit
}

// frameCacheBytes limits the cache of packed blocks.
const frameCacheBytes = 32 << 20

// New returns the Journals of a database. For a data directory, call OpenSegments before their use.
func New(d *db.DB, server string, a Archive, runLog int64) *Journals {
	return &Journals{DB: d, Archive: a, cache: newFrameCache(frameCacheBytes), Server: server, RunLog: runLog}
}

// OpenSegments opens the segments of a data directory.
func (s *Journals) OpenSegments(ctx context.Context, dir string, relaxed bool) error {
	var last int64
	err := s.Writer.QueryRowContext(ctx, `SELECT COALESCE(MAX(segment), 0) FROM blocks WHERE segment IS NOT NULL`).Scan(&last)
	if err != nil {
		return fmt.Errorf("read the number of the last segment: %w", err)
	}
	s.Segments, err = segment.Open(dir, segment.Options{Relaxed: relaxed, After: last})
	return err
}

// CloseSegments closes the segments.
func (s *Journals) CloseSegments() error {
	if s.Segments == nil {
		return nil
	}
	return s.Segments.Close()
}

// batch is the segments as a transaction sees them, with what it has added itself.
type batch interface {
	segmentReader
	Add(run string, attempt int, start int64, data []byte) (segment.Place, error)
	Copy(kind segment.Kind, run string, attempt int, start int64, data []byte) (segment.Place, error)
	Write() error
	End()
}

type segmentReader interface {
	Read(p segment.Place, n int64) ([]byte, error)
}

// Writer stores blocks in a transaction.
type Writer struct {
	*db.Tx
	Journals *Journals
	Segments batch // nil for PostgreSQL, and before Begin
	Added    int64 // stored bytes that the transaction has added
}

// WriteBlocks returns a Writer for a transaction. It writes to segments only after Begin.
func (s *Journals) WriteBlocks(t *db.Tx) *Writer { return &Writer{Tx: t, Journals: s} }

// Begin begins a batch of the segments, if there are any. Call End after it.
func (w *Writer) Begin() {
	if w.Journals.Segments != nil {
		w.Segments = w.Journals.Segments.Begin()
	}
}

// End ends the batch. Call it also after an error.
func (w *Writer) End() {
	if w.Segments != nil {
		w.Segments.End()
	}
}

// Write makes the bytes of the batch durable. Call it before the commit of the rows that refer to them.
func (w *Writer) Write() error {
	if w.Segments == nil {
		return nil
	}
	return w.Segments.Write()
}
