package maintenance

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// skippable is the magic number of a frame that zstd decompressors skip; the length follows.
const skippable = 0x184d2a50

// noteFor returns the beginning of an object: the note, if the object holds the first block, or nothing.
func (s *Maintenance) noteFor(ctx context.Context, p *packing) ([]byte, error) {
	if p.blocks[0].head.Start != journal.HeaderSize {
		return nil, nil
	}
	_, row, err := tables.ScanAttempt(s.Reader.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, p.key.Run, p.key.Attempt))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errBlocksChanged
	}
	if err != nil {
		return nil, err
	}
	text, err := blocks.ReadNote(ctx, s.Reader, p.key, row.Header)
	if err != nil || text == nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(nil, skippable)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	return append(out, text...), nil
}

// copyPacked copies the packed blocks of an old segment to the current one, if they are less than half of
// it, so that a few runs that are kept for long do not keep many files.
func (s *Maintenance) copyPacked(ctx context.Context, id, size int64) error {
	var plainRows int64
	var bytes int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN codec = 0 THEN 1 END), COALESCE(SUM(COALESCE(stored, size)), 0)
		FROM blocks WHERE segment = $1`, id).Scan(&plainRows, &bytes)
	if err != nil {
		return fmt.Errorf("read the blocks of segment %d: %w", id, err)
	}
	if plainRows > 0 || bytes > size/2 || id == s.Segments.Active() {
		return nil
	}
	err = s.RunSteps(ctx, func() (bool, error) {
		left := true
		err := s.Write(ctx, db.None, func(t *db.Tx) error {
			w := s.WriteBlocks(t)
			w.Begin()
			defer w.End()
			n, err := copyBatch(ctx, w, id)
			if left = n == tidyBatch; err != nil {
				return err
			}
			return w.Write()
		})
		return left, err
	})
	if err != nil {
		return fmt.Errorf("copy the blocks of segment %d: %w", id, err)
	}
	return nil
}

// copyBatch copies some packed blocks of a segment to the current one.
func copyBatch(ctx context.Context, w *blocks.Writer, id int64) (int, error) {
	type oneCopy struct {
		key   tables.AttemptKey
		start int64
		at    blocks.Place
	}
	rows, err := w.QueryContext(ctx, `SELECT run_id, attempt, start, `+blocks.PlaceColumns+` FROM blocks WHERE segment = $1 LIMIT $2`, id, tidyBatch)
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []oneCopy
	for rows.Next() {
		var c oneCopy
		if err := rows.Scan(append([]any{&c.key.Run, &c.key.Attempt, &c.start}, c.at.Dest()...)...); err != nil {
			return 0, err
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, c := range all {
		_, row, err := tables.ScanAttempt(w.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, c.key.Run, c.key.Attempt))
		if err != nil {
			return 0, err
		}
		at, err := copyFrame(ctx, w, c.key, row, c.start, c.at)
		if err != nil {
			return 0, err
		}
		_, err = w.ExecContext(ctx, `UPDATE blocks SET segment = $4, place = $5 WHERE run_id = $1 AND attempt = $2 AND start = $3`,
			c.key.Run, c.key.Attempt, c.start, at.Segment, at.Place)
		if err != nil {
			return 0, err
		}
	}
	return len(all), nil
}
