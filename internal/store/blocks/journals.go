package blocks

import (
	"context"
	"fmt"
	"io"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
)

// Archive is where packed journals go. internal/archive implements it.
type Archive interface {
	// Put stores an object of size bytes durably, whole or not at all.
	Put(ctx context.Context, key string, r io.Reader, size int64) error
	// ReadRange returns n bytes from an offset on; a missing object is fs.ErrNotExist.
	ReadRange(ctx context.Context, key string, off, n int64) ([]byte, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Journals are the bytes of all journals, wherever they are.
type Journals struct {
	*db.DB
	Segments *segment.Log // where blocks are; nil for PostgreSQL
	Archive  Archive      // may be nil
	cache    *frameCache
	Server   string // the name of this server, among those on the database
	RunLog   int64  // the length from which journals are trimmed; 0 for none
}

// frameCacheBytes bounds the cache of packed blocks.
const frameCacheBytes = 32 << 20

// New makes the journals of a database; of a data directory only with OpenSegments.
func New(d *db.DB, server string, a Archive, runLog int64) *Journals {
	return &Journals{DB: d, Archive: a, cache: newFrameCache(frameCacheBytes), Server: server, RunLog: runLog}
}

// OpenSegments opens the segments of a data directory.
func (s *Journals) OpenSegments(ctx context.Context, dir string, relaxed bool) error {
	var last int64
	err := s.Writer.QueryRowContext(ctx, `SELECT COALESCE(MAX(segment), 0) FROM blocks WHERE segment IS NOT NULL`).Scan(&last)
	if err != nil {
		return fmt.Errorf("look for the last segment: %w", err)
	}
	s.Segments, err = segment.Open(dir, segment.Options{Relaxed: relaxed, After: last})
	return err
}

// CloseSegments ends all use of the segments.
func (s *Journals) CloseSegments() error {
	if s.Segments == nil {
		return nil
	}
	return s.Segments.Close()
}

// batch is the segments as a transaction sees them: what it added itself is there too.
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

// Writer adds blocks in a transaction.
type Writer struct {
	*db.Tx
	Journals *Journals
	Segments batch // nil for PostgreSQL, and where no bytes are written
	Added    int64 // bytes of blocks that were added
}

// WriteBlocks adds rows of blocks in a transaction; their bytes only after begin.
func (s *Journals) WriteBlocks(t *db.Tx) *Writer { return &Writer{Tx: t, Journals: s} }

// Begin has bytes go to segments, where there are some. End it.
func (w *Writer) Begin() {
	if w.Journals.Segments != nil {
		w.Segments = w.Journals.Segments.Begin()
	}
}

// End gives the segments back. Call it after Begin, also after an error.
func (w *Writer) End() {
	if w.Segments != nil {
		w.Segments.End()
	}
}

// Write makes the bytes durable, before the commit: bytes first, then what refers to them.
func (w *Writer) Write() error {
	if w.Segments == nil {
		return nil
	}
	return w.Segments.Write()
}
