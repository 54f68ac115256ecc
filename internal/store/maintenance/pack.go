package maintenance

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// Packing replaces the blocks that arrived by few large compressed ones. One step packs up to objectBytes
// of one attempt's journal, in frames of about blocks.FrameBytes; both limit the memory of the step. The
// journal of a running attempt is packed when tables.PackLiveBytes have arrived, but not its end.
const (
	objectBytes = 16 << 20
	// rowBytes is the size up to which packed bytes are stored in rows: for a million short runs, rows
	// are better than objects.
	rowBytes = 32 << 10
)

// errBlocksChanged says that the blocks changed while they were packed: the step is tried again later.
var errBlocksChanged = errors.New("the blocks changed meanwhile")

// packing is one step.
type packing struct {
	key    tables.AttemptKey
	packer string
	from   int64 // journal offset where it begins
	blocks []packBlock
	skip   int64 // bytes of the object before the first frame
}

// packBlock is a block that is packed.
type packBlock struct {
	head    index.BlockHead
	samples []json.RawMessage
	at      blocks.Place
}

func (p *packing) to() int64 {
	last := p.blocks[len(p.blocks)-1].head
	return last.Start + last.Size
}

// pack packs the blocks of a step.
func (s *Maintenance) pack(ctx context.Context, p *packing, now time.Time) error {
	if err := s.packBlocks(ctx, p); err != nil {
		return err
	}
	if len(p.blocks) == 0 {
		return s.packed(ctx, p, nil, 0, now)
	}
	frames, size, err := s.frames(ctx, p)
	if err != nil {
		return err
	}
	if s.Archive == nil || size <= rowBytes {
		return s.packed(ctx, p, frames, 0, now)
	}
	note, err := s.noteFor(ctx, p)
	if err != nil {
		return err
	}
	object, err := s.putObject(ctx, p, note, frames, size+int64(len(note)), now)
	if err != nil {
		return err
	}
	p.skip = int64(len(note))
	err = s.packed(ctx, p, frames, object, now)
	if errors.Is(err, errBlocksChanged) {
		return errors.Join(err, s.dropObject(ctx, object, p.objectName()))
	}
	return err
}

// dropObject releases an object that was written and is not used. If it was released meanwhile, it may have been deleted
// before it was written, so it is deleted again.
func (s *Maintenance) dropObject(ctx context.Context, object int64, name string) error {
	var n int64
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		result, err := t.ExecContext(ctx, `UPDATE objects SET state = 'dead' WHERE id = $1 AND state <> 'live'`, object)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	if err == nil && n == 0 {
		err = s.Archive.Delete(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("release object %s: %w", name, err)
	}
	return nil
}

// objectName returns the name of the object of a step. It begins with the run.
func (p *packing) objectName() string {
	return fmt.Sprintf("%s/%d/%016d-%s", p.key.Run, p.key.Attempt, p.from, p.packer[:8])
}

// packBlocks reads the blocks of the step: those from its start on that lie
// together, up to objectBytes.
func (s *Maintenance) packBlocks(ctx context.Context, p *packing) error {
	rows, err := s.Reader.QueryContext(ctx, `SELECT head, samples, codec, stored, segment, object, place FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND start >= $3 AND codec = 0 ORDER BY start LIMIT 5000`, p.key.Run, p.key.Attempt, p.from)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var size int64
	for rows.Next() && size < objectBytes {
		var b packBlock
		var head, samples []byte
		if err := rows.Scan(&head, &samples, &b.at.Codec, &b.at.Stored, &b.at.Segment, &b.at.Object, &b.at.Place); err != nil {
			return err
		}
		if err := json.Unmarshal(head, &b.head); err != nil {
			return err
		}
		if len(samples) > 0 {
			if err := json.Unmarshal(samples, &b.samples); err != nil {
				return err
			}
		}
		if len(p.blocks) > 0 && p.to() != b.head.Start {
			break // the middle was dropped here
		}
		p.blocks = append(p.blocks, b)
		size += b.head.Size
	}
	return rows.Err()
}

// frame is one packed block.
type frame struct {
	head    index.BlockHead
	samples []json.RawMessage
	data    []byte // compressed
}

// frames joins adjacent blocks and compresses them.
func (s *Maintenance) frames(ctx context.Context, p *packing) (frames []frame, size int64, err error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, 0, fmt.Errorf("make a compressor: %w", err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	for rest := p.blocks; len(rest) > 0; {
		n, bytes := 0, int64(0)
		for n < len(rest) && (n == 0 || bytes+rest[n].head.Size <= blocks.FrameBytes) {
			bytes += rest[n].head.Size
			n++
		}
		joined, err := s.joined(ctx, p.key, rest[:n])
		if err != nil {
			return nil, 0, err
		}
		f := frame{head: joined.Head, samples: joined.Samples, data: z.EncodeAll(joined.Data, nil)}
		frames, size, rest = append(frames, f), size+int64(len(f.data)), rest[n:]
	}
	return frames, size, nil
}

// joined reads adjacent blocks as one.
func (s *Maintenance) joined(ctx context.Context, key tables.AttemptKey, found []packBlock) (blocks.Block, error) {
	parts := make([]blocks.Block, len(found))
	for i, b := range found {
		data, err := s.BlockData(ctx, key.Run, key.Attempt, b.head.Start)
		if err != nil {
			return blocks.Block{}, err
		}
		if int64(len(data)) != b.head.Size {
			return blocks.Block{}, errBlocksChanged
		}
		parts[i] = blocks.Block{Head: b.head, Samples: b.samples, Data: data}
	}
	return blocks.JoinBlocks(parts), nil
}

// putObject stores frames as one object of the archive.
func (s *Maintenance) putObject(ctx context.Context, p *packing, note []byte, frames []frame, size int64, now time.Time) (object int64, err error) {
	name := p.objectName()
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		return t.QueryRowContext(ctx, `INSERT INTO objects (name, state, size, changed_at) VALUES ($1, 'writing', $2, $3) RETURNING id`,
			name, size, db.Micros(now)).Scan(&object)
	})
	if err != nil {
		return 0, fmt.Errorf("store object %s: %w", name, err)
	}
	readers := []io.Reader{bytes.NewReader(note)}
	for _, f := range frames {
		readers = append(readers, bytes.NewReader(f.data))
	}
	if err := s.Archive.Put(ctx, name, io.MultiReader(readers...), size); err != nil {
		return 0, &archiveError{err}
	}
	return object, nil
}

// packed replaces the blocks by their frames, if they have not changed since they were read and the step
// still has its reservation.
func (s *Maintenance) packed(ctx context.Context, p *packing, frames []frame, object int64, now time.Time) error {
	return s.Write(ctx, db.Runs(p.key.Run), func(t *db.Tx) error {
		row, err := lockReserved(ctx, t, p)
		if err != nil {
			return err
		}
		w := s.WriteBlocks(t)
		if object == 0 && len(frames) > 0 {
			w.Begin()
			defer w.End()
		}
		done := p.from
		if len(frames) > 0 {
			done = p.to()
			if err := swap(ctx, w, p, row, frames, object); err != nil {
				return err
			}
			if err := s.CountBytes(ctx, t, frameBytesOf(frames)-(p.to()-p.blocks[0].head.Start)); err != nil {
				return err
			}
		}
		row.Tiers = tables.Tiers{} // the blocks that they counted may be packed now
		doc, err := json.Marshal(row.AttemptDoc)
		if err != nil {
			return fmt.Errorf("encode attempt %d of run %s: %w", p.key.Attempt, p.key.Run, err)
		}
		_, err = t.ExecContext(ctx, `UPDATE attempts SET packed = $3, pack_at = $4, packer = NULL, doc = $5 WHERE run_id = $1 AND attempt = $2`,
			p.key.Run, p.key.Attempt, done, nextPackAt(row, done, len(frames) > 0, now), string(doc))
		if err != nil {
			return fmt.Errorf("store how far it is packed: %w", err)
		}
		return w.Write()
	})
}

func frameBytesOf(frames []frame) (n int64) {
	for _, f := range frames {
		n += int64(len(f.data))
	}
	return n
}

// nextPackAt returns when the next step of an attempt is due: now while there is more to pack, else NULL.
// The end of a journal that still grows is packed later.
func nextPackAt(row *tables.AttemptRow, done int64, did bool, now time.Time) sql.NullInt64 {
	left := row.Size - done
	if left == 0 || !did || !row.Ended && left < tables.PackLiveBytes/8 {
		return sql.NullInt64{}
	}
	return db.NotNull(db.Micros(now))
}

// lockReserved locks the attempt and checks that the step still has its reservation.
func lockReserved(ctx context.Context, t *db.Tx, p *packing) (*tables.AttemptRow, error) {
	var holder sql.NullString
	err := t.QueryRowContext(ctx, `SELECT packer FROM attempts WHERE run_id = $1 AND attempt = $2`+t.Dialect.Lock,
		p.key.Run, p.key.Attempt).Scan(&holder)
	if errors.Is(err, sql.ErrNoRows) || err == nil && holder.String != p.packer {
		return nil, errBlocksChanged // deleted, or another server goes on with it
	}
	if err != nil {
		return nil, fmt.Errorf("check the reservation: %w", err)
	}
	_, row, err := tables.ScanAttempt(t.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, p.key.Run, p.key.Attempt))
	return row, err
}

// putFrames stores the rows of frames, whose bytes are in an object, if there is one, and
// otherwise in the rows.
func putFrames(ctx context.Context, w *blocks.Writer, p *packing, row *tables.AttemptRow, frames []frame, object int64) (err error) {
	offset := p.skip
	for _, f := range frames {
		at := blocks.Place{Codec: blocks.Compressed, Data: f.data, Stored: db.NotNull(int64(len(f.data)))}
		switch {
		case object != 0:
			at.Data, at.Object, at.Place = []byte{}, db.NotNull(object), db.NotNull(offset)
			offset += int64(len(f.data))
		case w.Segments != nil:
			if at, err = copyFrame(ctx, w, p.key, row, f.head.Start, at); err != nil {
				return err
			}
		}
		if err := w.PutRow(ctx, p.key, f.head, f.samples, at); err != nil {
			return err
		}
	}
	return nil
}

// copyFrame has a packed block that is kept in its row copied into a segment.
func copyFrame(ctx context.Context, w *blocks.Writer, key tables.AttemptKey, row *tables.AttemptRow, start int64, at blocks.Place) (blocks.Place, error) {
	if start == journal.HeaderSize {
		if err := w.CopyNote(ctx, key, row); err != nil {
			return blocks.Place{}, err
		}
	}
	return w.CopyToSegment(segment.Packed, key, start, at)
}

// swap replaces the rows of the blocks by those of their frames.
func swap(ctx context.Context, w *blocks.Writer, p *packing, row *tables.AttemptRow, frames []frame, object int64) error {
	var count, size int64
	err := w.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND start >= $3 AND start < $4 AND codec = 0`,
		p.key.Run, p.key.Attempt, p.blocks[0].head.Start, p.to()).Scan(&count, &size)
	if err != nil {
		return fmt.Errorf("count the blocks: %w", err)
	}
	if count != int64(len(p.blocks)) || size != p.to()-p.blocks[0].head.Start {
		return errBlocksChanged
	}
	_, err = w.ExecContext(ctx, `DELETE FROM blocks WHERE run_id = $1 AND attempt = $2 AND start >= $3 AND start < $4 AND codec = 0`,
		p.key.Run, p.key.Attempt, p.blocks[0].head.Start, p.to())
	if err != nil {
		return fmt.Errorf("delete the blocks: %w", err)
	}
	if err := putFrames(ctx, w, p, row, frames, object); err != nil {
		return err
	}
	if object == 0 {
		return nil
	}
	var name string
	err = w.QueryRowContext(ctx, `UPDATE objects SET state = 'live' WHERE id = $1 AND state = 'writing' RETURNING name`, object).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return errBlocksChanged // it took so long that the object was released
	}
	if err != nil {
		return fmt.Errorf("mark object %d as used: %w", object, err)
	}
	return nil
}
