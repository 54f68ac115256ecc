package blocks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
)

// InlineBytes is the size up to which a block's bytes are stored in its row. So the few lines of a quiet
// job need no sync of a second file.
const InlineBytes = 4 << 10

// codec is the encoding of the stored bytes of a block.
type codec int

const (
	Plain      codec = 0
	Compressed codec = 1 // zstd
	dropped    codec = 2 // the row has only head and samples
)

// Place is where the bytes of a block are: in the row, in a segment, or in an object. If they are in the
// row, a segment may have a copy.
type Place struct {
	Codec   codec
	Stored  sql.NullInt64 // the number of stored bytes, if they are not in Data
	Segment sql.NullInt64
	Object  sql.NullInt64
	Place   sql.NullInt64 // offset in the segment or object
	Data    []byte
}

// PlaceColumns are the columns that are scanned into Dest.
const PlaceColumns = `codec, stored, segment, object, place, data`

// Dest returns the destinations of a scan of PlaceColumns.
func (p *Place) Dest() []any {
	return []any{&p.Codec, &p.Stored, &p.Segment, &p.Object, &p.Place, &p.Data}
}

// placeBlock stores the bytes of a new block and returns their place. Bytes that are stored in the row are
// also copied to a segment, for a rebuild of the database; that needs no sync, because the row is
// durable.
func (w *Writer) placeBlock(key tables.AttemptKey, b Block) (Place, error) {
	if w.Segments == nil {
		return Place{Data: b.Data}, nil
	}
	if len(b.Data) <= InlineBytes {
		return w.CopyToSegment(segment.Plain, key, b.Head.Start, Place{Data: b.Data})
	}
	at, err := w.Segments.Add(key.Run, key.Attempt, b.Head.Start, b.Data)
	if err != nil {
		return Place{}, fmt.Errorf("store block %d of run %s attempt %d: %w", b.Head.Start, key.Run, key.Attempt, err)
	}
	return segmentPlace(at, int64(len(b.Data))), nil
}

// CopyToSegment copies the bytes of a row to a segment, and returns p with the place of the copy, so that
// the segment is kept as long as the row.
func (w *Writer) CopyToSegment(kind segment.Kind, key tables.AttemptKey, start int64, p Place) (Place, error) {
	at, err := w.Segments.Copy(kind, key.Run, key.Attempt, start, p.Data)
	if err != nil {
		return Place{}, fmt.Errorf("copy block %d of run %s attempt %d: %w", start, key.Run, key.Attempt, err)
	}
	p.Segment, p.Place = db.NotNull(at.Segment), db.NotNull(at.Offset)
	return p, nil
}

func segmentPlace(at segment.Place, n int64) Place {
	return Place{
		Data: []byte{}, Stored: db.NotNull(n), Segment: db.NotNull(at.Segment), Place: db.NotNull(at.Offset),
	}
}

// bytes returns the bytes of a block that is not packed.
func (p *Place) bytes(segments segmentReader) ([]byte, error) {
	if !p.Segment.Valid || len(p.Data) > 0 {
		return p.Data, nil
	}
	return segments.Read(segment.Place{Segment: p.Segment.Int64, Offset: p.Place.Int64}, p.Stored.Int64)
}

// located is a block with its position in the journal.
type located struct {
	start, size int64
	Place
}

// BlockData returns the bytes from start to the end of the block that holds start. They may be more
// than a head counts that was read before: cut them at head.Size. The bytes must not be changed.
func (s *Journals) BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error) {
	const tries = 4
	for try := 1; ; try++ {
		b, err := s.Locate(ctx, run, attempt, start)
		if err != nil {
			return nil, err
		}
		if b.Codec == dropped || start-b.start >= b.size {
			return nil, byteNotFound(run, attempt, start)
		}
		data, err := s.plainBytes(ctx, tables.AttemptKey{Run: run, Attempt: attempt}, &b)
		if errors.Is(err, fs.ErrNotExist) && try < tries {
			continue // it was moved after its row was read
		}
		if err != nil {
			return nil, fmt.Errorf("block %d of run %s attempt %d: %w", start, run, attempt, err)
		}
		if int64(len(data)) != b.size {
			return nil, fmt.Errorf("block %d of run %s attempt %d has %d bytes, not %d", start, run, attempt, len(data), b.size)
		}
		return data[start-b.start:], nil
	}
}

// Locate returns the block that holds a byte of a journal, or the last one before it.
func (s *Journals) Locate(ctx context.Context, run string, attempt int, at int64) (b located, err error) {
	err = s.Reader.QueryRowContext(ctx, `SELECT start, size, `+PlaceColumns+` FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND start <= $3 ORDER BY start DESC LIMIT 1`,
		run, attempt, at).Scan(append([]any{&b.start, &b.size}, b.Dest()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return b, byteNotFound(run, attempt, at)
	}
	if err != nil {
		return b, fmt.Errorf("block %d of run %s attempt %d: %w", at, run, attempt, err)
	}
	return b, nil
}

// plainBytes returns the decompressed bytes of a block.
func (s *Journals) plainBytes(ctx context.Context, key tables.AttemptKey, b *located) ([]byte, error) {
	if b.Codec == Plain {
		return b.bytes(s.Segments)
	}
	name := frameKey{key, b.start}
	if data := s.cache.get(name); int64(len(data)) == b.size && b.size > 0 {
		return data, nil
	}
	data := b.Data
	if b.Object.Valid {
		var err error
		if data, err = s.objectBytes(ctx, &b.Place); err != nil {
			return nil, err
		}
	}
	out, err := Unpack(data, b.size)
	if err == nil {
		s.cache.put(name, out)
	}
	return out, err
}

// objectBytes reads from the archive. The error of an object without a row is fs.ErrNotExist.
func (s *Journals) objectBytes(ctx context.Context, p *Place) ([]byte, error) {
	if s.Archive == nil {
		return nil, errors.New("its bytes are in the archive: say where that is with --archive")
	}
	var name string
	err := s.Reader.QueryRowContext(ctx, `SELECT name FROM objects WHERE id = $1`, p.Object.Int64).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("object %d: %w", p.Object.Int64, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read the name of object %d: %w", p.Object.Int64, err)
	}
	return s.Archive.ReadRange(ctx, name, p.Place.Int64, p.Stored.Int64)
}

func byteNotFound(run string, attempt int, at int64) error {
	return &query.NotFoundError{What: fmt.Sprintf("byte %d of the journal of run %s attempt %d", at, run, attempt)}
}
