package blocks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// Block is a block with its bytes.
type Block struct {
	Head    index.BlockHead
	Samples []json.RawMessage
	Data    []byte
}

// InsertBlock stores a block at the end of an attempt's journal, and merges the last small blocks when
// there are enough of them.
func (w *Writer) InsertBlock(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, b Block) error {
	if err := w.putBlock(ctx, key, row, b); err != nil {
		return err
	}
	row.Tiers.Add(b.Head.Size)
	for row.Tiers.IsFull() {
		size, err := w.mergeLast(ctx, key, row)
		var unread *unreadableBlockError
		if errors.As(err, &unread) {
			// The blocks are not merged, because damage must not keep appends from being stored.
			// Packing reports it.
			row.Tiers = tables.Tiers{}
			return nil
		}
		if err != nil {
			return fmt.Errorf("merge blocks of run %s attempt %d: %w", key.Run, key.Attempt, err)
		}
		row.Tiers.Merge(size)
	}
	return nil
}

func (w *Writer) putBlock(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, b Block) error {
	if b.Head.Start == journal.HeaderSize && w.Segments != nil {
		if err := w.CopyNote(ctx, key, row); err != nil {
			return err
		}
	}
	at, err := w.placeBlock(key, b)
	if err != nil {
		return err
	}
	w.Added += b.Head.Size
	return w.PutRow(ctx, key, b.Head, b.Samples, at)
}

// PutRow stores the row of a block whose bytes are at a place.
func (w *Writer) PutRow(ctx context.Context, key tables.AttemptKey, h index.BlockHead, samples []json.RawMessage, at Place) error {
	head, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode block %d of run %s: %w", h.Start, key.Run, err)
	}
	var text any
	if len(samples) > 0 {
		encoded, err := json.Marshal(samples)
		if err != nil {
			return fmt.Errorf("encode samples of run %s: %w", key.Run, err)
		}
		text = string(encoded)
	}
	return w.Queue(ctx, db.Statement{
		Query: `INSERT INTO blocks (run_id, attempt, start, size, first_line, lines, head, samples, data, codec, stored, segment, object, place)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		Args: []any{
			key.Run, key.Attempt, h.Start, h.Size, h.FirstLine, h.Lines, string(head), text,
			at.Data, at.Codec, at.Stored, at.Segment, at.Object, at.Place,
		},
		What: fmt.Sprintf("store block %d of run %s attempt %d", h.Start, key.Run, key.Attempt),
	})
}

// unreadableBlockError is the error of a stored block whose bytes cannot be read.
type unreadableBlockError struct{ error }

func (e *unreadableBlockError) Unwrap() error { return e.error }

// mergeLast merges the last Fan blocks and returns the size of the merged one.
func (w *Writer) mergeLast(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) (int64, error) {
	blocks, err := w.lastBlocks(ctx, key, tables.Fan)
	if err != nil {
		return 0, err
	}
	merged := JoinBlocks(blocks)
	w.Added -= merged.Head.Size // they are deleted
	_, err = w.ExecContext(ctx, `DELETE FROM blocks WHERE run_id = $1 AND attempt = $2 AND start >= $3`,
		key.Run, key.Attempt, merged.Head.Start)
	if err != nil {
		return 0, err
	}
	return merged.Head.Size, w.putBlock(ctx, key, row, merged)
}

// lastBlocks reads the last n blocks, in the order of the journal.
func (w *Writer) lastBlocks(ctx context.Context, key tables.AttemptKey, n int) ([]Block, error) {
	rows, err := w.QueryContext(ctx, `SELECT head, samples, `+PlaceColumns+` FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND codec <> 2 ORDER BY start DESC LIMIT $3`, key.Run, key.Attempt, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var blocks []Block
	for rows.Next() {
		var b Block
		var head, samples []byte
		var at Place
		if err := rows.Scan(append([]any{&head, &samples}, at.Dest()...)...); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(head, &b.Head); err != nil {
			return nil, err
		}
		if len(samples) > 0 {
			if err := json.Unmarshal(samples, &b.Samples); err != nil {
				return nil, err
			}
		}
		if b.Data, err = at.bytes(w.Segments); err != nil {
			return nil, &unreadableBlockError{err}
		}
		blocks = append(blocks, b)
	}
	slices.Reverse(blocks)
	return blocks, rows.Err()
}

// JoinBlocks returns adjacent blocks as one.
func JoinBlocks(blocks []Block) Block {
	out := blocks[0]
	var size int64
	for _, b := range blocks {
		size += b.Head.Size
	}
	out.Data = append(make([]byte, 0, size), out.Data...)
	for _, b := range blocks[1:] {
		out.Head = index.JoinHeads(out.Head, b.Head)
		out.Samples = append(out.Samples, b.Samples...)
		out.Data = append(out.Data, b.Data...)
	}
	return out
}
