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

// StoreCut stores what is missing of a journal, and shows it in its run.
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

// A journal longer than the limit keeps the beginning and the end, each about half as long
// as the limit. What is in
// between goes block by block, while the job prints on; the gap that this makes in each
// stream is declared with its exact size. The journal's length and digest stay those of
// what arrived.

// Cut is what was dropped of a journal.
type Cut struct {
	Gaps []job.Gap `json:"gaps"`
	// Bytes is how much of the journal, and To where in it the gap ends.
	Bytes int64 `json:"bytes"`
	To    int64 `json:"to"`
	// Before is what each stream had printed where the gap begins.
	Before []StreamBytes `json:"before"`
	// Damaged is what a check found damaged, and dropped.
	Damaged []job.Gap `json:"damaged,omitempty"`
}

// StreamBytes is how many bytes a stream had printed.
type StreamBytes struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Bytes  int64      `json:"bytes"`
}

// TrimSlack is how much more than needed goes at a time, so that this is done seldom.
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

// StreamBefore is the count of a stream, which is made if it is missing.
func (c *Cut) StreamBefore(step int, stream job.Stream) *StreamBytes {
	for i := range c.Before {
		if b := &c.Before[i]; b.Step == step && b.Stream == stream {
			return b
		}
	}
	c.Before = append(c.Before, StreamBytes{Step: step, Stream: stream})
	return &c.Before[len(c.Before)-1]
}

// Gap is the gap of a stream, which is made if it is missing; at is when its first bytes arrived.
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

// SameCut reports whether the same was dropped.
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
