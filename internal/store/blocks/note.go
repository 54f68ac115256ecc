package blocks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Note holds what the journal of a run does not have and a rebuild of the database needs. It is stored in
// front of the first block of each attempt in a segment, and in front of the first frame of an object,
// where decompressors skip it.
type Note struct {
	Job       string      `json:"job"`
	Number    int64       `json:"number"`
	CreatedAt time.Time   `json:"created_at"`
	StartAt   time.Time   `json:"start_at,omitzero"`
	BeatAt    *time.Time  `json:"last_heartbeat_at,omitempty"`
	Cancel    *job.Cancel `json:"cancel,omitempty"`
	Header    []byte      `json:"header"` // of the attempt's journal
}

// ReadNote returns the note of an attempt; nil if its run does not exist yet.
func ReadNote(ctx context.Context, from db.RowQuerier, key tables.AttemptKey, header []byte) ([]byte, error) {
	n := Note{Header: header}
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
		return nil, fmt.Errorf("read the note of run %s: %w", key.Run, err)
	}
	n.CreatedAt, n.StartAt, n.BeatAt = db.FromMicros(created), db.FromMicros(start), db.FromNullableMicros(beat)
	return json.Marshal(n)
}

// CopyNote writes the note of an attempt to a segment.
func (w *Writer) CopyNote(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	text, err := ReadNote(ctx, w, key, row.Header)
	if err != nil || text == nil {
		return err
	}
	if _, err := w.Segments.Copy(segment.Note, key.Run, key.Attempt, 0, text); err != nil {
		return fmt.Errorf("write the note of run %s: %w", key.Run, err)
	}
	return nil
}
