package index

import (
	"time"

	"stint.dev/stint/job"
)

// BlockHead describes a stored block of one attempt's journal: whole records, nothing
// else. The journal's header is in no block, so the first one starts at
// journal.HeaderSize. Blocks may be merged later, so a start can come to lie inside a
// larger block: the store answers for any offset, and a reader of a block's data cuts it
// at Size. A carriage return does not end a line, and neither does a gap; the end of a
// step does. Lines are numbered 1, 2, 3 … within the attempt, over both streams of all steps,
// in the order in which their first byte was printed; a number never changes.
type BlockHead struct {
	Start int64 `json:"start"` // offset of its first byte in the journal
	Size  int64 `json:"size"`
	// FirstLine is the number of the first line that begins in this block (or would);
	// Lines is how many begin here.
	FirstLine int64     `json:"first_line"`
	Lines     int64     `json:"lines"`
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	// OutputBytes is the raw output in it, and OutputStart the raw output before it.
	OutputBytes int64 `json:"output_bytes"`
	OutputStart int64 `json:"output_start"`
	// Open are the lines that began in an earlier block and had not ended.
	Open []OpenLine `json:"open,omitempty"`
}

// OpenLine is a line whose newline has not been printed yet.
type OpenLine struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Line   int64      `json:"line"`
	// Block is the start of the block in which the line began, when it was stored, so
	// that a reader can go back for its first bytes.
	Block int64 `json:"block"`
}

// JoinHeads returns the head of two adjacent blocks that are joined.
func JoinHeads(a, b BlockHead) BlockHead {
	a.Size += b.Size
	a.Lines += b.Lines
	a.OutputBytes += b.OutputBytes
	if b.FirstAt.Before(a.FirstAt) {
		a.FirstAt = b.FirstAt
	}
	if b.LastAt.After(a.LastAt) {
		a.LastAt = b.LastAt
	}
	return a
}
