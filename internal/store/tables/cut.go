package tables

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// StoreCut stores what was dropped of a journal, in its attempt and its run.
func StoreCut(ctx context.Context, t *db.Tx, key AttemptKey, run *RunRow, row *AttemptRow, c *Cut) error {
	row.Cut, row.Tiers = c, Tiers{}
	doc, err := json.Marshal(row.AttemptDoc)
	if err != nil {
		return fmt.Errorf("encode attempt %d of run %s: %w", key.Attempt, key.Run, err)
	}
	if _, err := t.ExecContext(ctx, `UPDATE attempts SET doc = $3 WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt, string(doc)); err != nil {
		return err
	}
	if run.Run.Attempt != key.Attempt {
		return nil
	}
	run.Run.Output = row.View.Output
	run.Run = WithCut(run.Run, c)
	return UpdateRun(ctx, t, run)
}

// Cut is what was dropped of a journal.
//
// A journal longer than the limit keeps its beginning and its end, each about half as long as the
// limit. The blocks between them are dropped while the job prints. The gap in each stream is declared
// with its exact size. Length and digest of the journal stay those of what arrived.
type Cut struct {
	Gaps []job.Gap `json:"gaps"`
	// Bytes is the number of bytes of the journal that were dropped, and To the offset of the end
	// of the gap.
	Bytes int64 `json:"bytes"`
	To    int64 `json:"to"`
	// Before counts what each stream had printed before the gap.
	Before []StreamBytes `json:"before"`
	// Damaged are the gaps of damaged blocks that a repair dropped.
	Damaged []job.Gap `json:"damaged,omitempty"`
}

// StreamBytes is the number of bytes that a stream had printed.
type StreamBytes struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Bytes  int64      `json:"bytes"`
}

// TrimSlack returns how many bytes more than needed are dropped at a time, so that trimming is rare.
func TrimSlack(limit int64) int64 { return limit / 8 }

// needsTrim reports whether a journal is long enough to be trimmed.
func (a *AttemptRow) needsTrim(limit int64) bool {
	if limit <= 0 {
		return false
	}
	var gone int64
	if a.Cut != nil {
		gone = a.Cut.Bytes
	}
	return a.Size-gone > limit
}

// StreamBefore returns the count of a stream in Before. It adds a missing one.
func (c *Cut) StreamBefore(step int, stream job.Stream) *StreamBytes {
	for i := range c.Before {
		if b := &c.Before[i]; b.Step == step && b.Stream == stream {
			return b
		}
	}
	c.Before = append(c.Before, StreamBytes{Step: step, Stream: stream})
	return &c.Before[len(c.Before)-1]
}

// Gap returns the gap of a stream. It adds a missing one; at is when its first bytes arrived.
func (c *Cut) Gap(step int, stream job.Stream, at time.Time) *job.Gap {
	for i := range c.Gaps {
		if g := &c.Gaps[i]; g.Step == step && g.Stream == stream {
			return g
		}
	}
	c.Gaps = append(c.Gaps, job.Gap{
		Step: step, Stream: stream, AtBytes: c.StreamBefore(step, stream).Bytes, Reason: index.CutReason, At: at,
	})
	return &c.Gaps[len(c.Gaps)-1]
}

// SameCut reports whether two cuts dropped the same bytes.
func SameCut(a, b *Cut) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.To == b.To && a.Bytes == b.Bytes
}

// WithCut returns a run with the gaps that trimming made in its attempt, in front of those that the
// journal records.
func WithCut(run job.Run, c *Cut) job.Run {
	if c == nil {
		return run
	}
	run.Output.Gaps = slices.Concat(c.Gaps, c.Damaged, run.Output.Gaps)
	run.Output.Complete = false
	return run
}
