package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// note is what no journal says of its run, and is to be known again when the database is
// gone. It stands beside the first block of each attempt, wherever that is: in front of it
// in a segment, and in front of the first frame of an object, where decompressors skip it.
type note struct {
	Job       string      `json:"job"`
	Number    int64       `json:"number"`
	CreatedAt time.Time   `json:"created_at"`
	StartAt   time.Time   `json:"start_at,omitzero"`
	BeatAt    *time.Time  `json:"last_heartbeat_at,omitempty"`
	Cancel    *job.Cancel `json:"cancel,omitempty"`
	Header    []byte      `json:"header"` // of the attempt's journal
}

// readNote returns the note of an attempt; none for a run that is not known yet.
func readNote(ctx context.Context, from db.RowQuerier, key tables.AttemptKey, header []byte) ([]byte, error) {
	n := note{Header: header}
	var created, start int64
	var beat sql.NullInt64
	var cancel []byte
	err := from.QueryRowContext(ctx, `SELECT job, number, created_at, start_at, beat_at, cancel FROM runs WHERE id = $1`, key.Run).
		Scan(&n.Job, &n.Number, &created, &start, &beat, &cancel)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && len(cancel) > 0 {
		err = json.Unmarshal(cancel, &n.Cancel)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is known of run %s: %w", key.Run, err)
	}
	n.CreatedAt, n.StartAt, n.BeatAt = db.FromMicros(created), db.FromMicros(start), db.FromNull(beat)
	return json.Marshal(n)
}

// copyNote puts the note of an attempt into a segment.
func (w *blockWriter) copyNote(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	text, err := readNote(ctx, w, key, row.Header)
	if err != nil || text == nil {
		return err
	}
	if _, err := w.segments.Copy(segment.Note, key.Run, key.Attempt, 0, text); err != nil {
		return fmt.Errorf("note what is known of run %s: %w", key.Run, err)
	}
	return nil
}

// skippable begins what a decompressor of zstd leaves out; its length follows.
const skippable = 0x184d2a50

// noteFor is what an object begins with: the note, if the object holds the first block.
func (s *Maintenance) noteFor(ctx context.Context, p *packing) ([]byte, error) {
	if p.blocks[0].head.Start != journal.HeaderSize {
		return nil, nil
	}
	_, row, err := tables.ScanAttempt(s.Reader.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, p.key.Run, p.key.Attempt))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errMoved
	}
	if err != nil {
		return nil, err
	}
	text, err := readNote(ctx, s.Reader, p.key, row.Header)
	if err != nil || text == nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(nil, skippable)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(text)))
	return append(out, text...), nil
}

// copyAgain moves the copies that keep an old segment to the one that grows, once they are
// less than half of it, so that a few runs that are kept for long do not hold many files.
func (s *Maintenance) copyAgain(ctx context.Context, id, size int64) error {
	var plainRows int64
	var bytes int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN codec = 0 THEN 1 END), COALESCE(SUM(COALESCE(stored, size)), 0)
		FROM blocks WHERE segment = $1`, id).Scan(&plainRows, &bytes)
	if err != nil {
		return fmt.Errorf("find out what segment %d is needed for: %w", id, err)
	}
	if plainRows > 0 || bytes > size/2 || id == s.segments.Active() {
		return nil
	}
	err = db.Repeat(ctx, func() (bool, error) {
		left := true
		err := s.Write(ctx, db.None, func(t *db.Tx) error {
			w := s.writeBlocks(t)
			w.begin()
			defer w.end()
			n, err := copySome(ctx, w, id)
			if left = n == tidyBatch; err != nil {
				return err
			}
			return w.write()
		})
		return left, err
	})
	if err != nil {
		return fmt.Errorf("copy what is left in segment %d: %w", id, err)
	}
	return nil
}

// copySome copies some packed blocks of a segment again.
func copySome(ctx context.Context, w *blockWriter, id int64) (int, error) {
	type oneCopy struct {
		key   tables.AttemptKey
		start int64
		at    place
	}
	rows, err := w.QueryContext(ctx, `SELECT run_id, attempt, start, `+placeColumns+` FROM blocks WHERE segment = $1 LIMIT $2`, id, tidyBatch)
	if err != nil {
		return 0, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []oneCopy
	for rows.Next() {
		var c oneCopy
		if err := rows.Scan(append([]any{&c.key.Run, &c.key.Attempt, &c.start}, c.at.dest()...)...); err != nil {
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
			c.key.Run, c.key.Attempt, c.start, at.segment, at.place)
		if err != nil {
			return 0, err
		}
	}
	return len(all), nil
}
