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

// Note is what no journal says of its run, and is to be known again when the database is
// gone. It is stored beside the first block of each attempt, wherever that is: in front of it
// in a segment, and in front of the first frame of an object, where decompressors skip it.
type Note struct {
	Job       string      `json:"job"`
	Number    int64       `json:"number"`
	CreatedAt time.Time   `json:"created_at"`
	StartAt   time.Time   `json:"start_at,omitzero"`
	BeatAt    *time.Time  `json:"last_heartbeat_at,omitempty"`
	Cancel    *job.Cancel `json:"cancel,omitempty"`
	Header    []byte      `json:"header"` // of the attempt's journal
}

// ReadNote returns the note of an attempt; none for a run that is not known yet.
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
		return nil, fmt.Errorf("read what is known of run %s: %w", key.Run, err)
	}
	n.CreatedAt, n.StartAt, n.BeatAt = db.FromMicros(created), db.FromMicros(start), db.FromNullableMicros(beat)
	return json.Marshal(n)
}

// CopyNote puts the note of an attempt into a segment.
func (w *Writer) CopyNote(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	text, err := ReadNote(ctx, w, key, row.Header)
	if err != nil || text == nil {
		return err
	}
	if _, err := w.Segments.Copy(segment.Note, key.Run, key.Attempt, 0, text); err != nil {
		return fmt.Errorf("note what is known of run %s: %w", key.Run, err)
	}
	return nil
}
