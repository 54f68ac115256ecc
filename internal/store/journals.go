package store

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
	segments *segment.Log // where blocks are; nil for PostgreSQL
	archive  Archive      // may be nil
	cache    *frameCache
	server   string // the name of this server, among those on the database
	runLog   int64  // the length from which journals are trimmed; 0 for none
}

// frameMemory bounds the cache of packed blocks.
const frameMemory = 32 << 20

// newJournals makes the journals of a database; of a data directory only with openSegments.
func newJournals(d *db.DB, server string, a Archive, runLog int64) *Journals {
	return &Journals{DB: d, archive: a, cache: newFrameCache(frameMemory), server: server, runLog: runLog}
}

// openSegments opens the segments of a data directory.
func (s *Journals) openSegments(ctx context.Context, dir string, relaxed bool) error {
	var last int64
	err := s.Writer.QueryRowContext(ctx, `SELECT COALESCE(MAX(segment), 0) FROM blocks WHERE segment IS NOT NULL`).Scan(&last)
	if err != nil {
		return fmt.Errorf("look for the last segment: %w", err)
	}
	s.segments, err = segment.Open(dir, segment.Options{Relaxed: relaxed, After: last})
	return err
}

func (s *Journals) closeSegments() error {
	if s.segments == nil {
		return nil
	}
	return s.segments.Close()
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

// blockWriter adds blocks in a transaction.
type blockWriter struct {
	*db.Tx
	journals *Journals
	segments batch // nil for PostgreSQL, and where no bytes are written
	added    int64 // bytes of blocks that were added
}

// writeBlocks adds rows of blocks in a transaction; their bytes only after begin.
func (s *Journals) writeBlocks(t *db.Tx) *blockWriter { return &blockWriter{Tx: t, journals: s} }

// begin has bytes go to segments, where there are some. End it.
func (w *blockWriter) begin() {
	if w.journals.segments != nil {
		w.segments = w.journals.segments.Begin()
	}
}

func (w *blockWriter) end() {
	if w.segments != nil {
		w.segments.End()
	}
}

// write makes the bytes durable, before the commit: bytes first, then what refers to them.
func (w *blockWriter) write() error {
	if w.segments == nil {
		return nil
	}
	return w.segments.Write()
}
