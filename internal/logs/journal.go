package logs

import (
	"context"
	"fmt"
	"io"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/journal"
)

// JournalReader reads the stored journal of an attempt from an offset, with one block in memory at a time. The
// header is not in a block; it is the same in all journals of a version.
type JournalReader struct {
	ctx     context.Context
	store   Store
	run     string
	attempt int

	heads []index.BlockHead
	data  []byte
	next  int64 // the offset of the next byte
	last  bool  // the remaining heads are the last ones
}

// NewJournalReader returns a reader that begins at an offset.
func NewJournalReader(ctx context.Context, store Store, run string, attempt int, offset int64) *JournalReader {
	return &JournalReader{ctx: ctx, store: store, run: run, attempt: attempt, next: offset}
}

// HoleError is the error of a part of a stored journal that was dropped, because the journal was too long or
// damaged. What follows it does not continue what comes before it.
type HoleError struct{ From, To int64 }

func (e *HoleError) Error() string {
	return fmt.Sprintf("bytes %d to %d of the journal are not stored any more; the rest begins at offset %d", e.From, e.To, e.To)
}

// Read implements io.Reader. Its error is a *HoleError where a part of the journal is missing.
func (b *JournalReader) Read(p []byte) (int, error) {
	const heads = 64
	if b.next < journal.HeaderSize && len(b.data) == 0 {
		b.data, b.next = journal.AppendHeader(nil)[b.next:], journal.HeaderSize
	}
	for len(b.data) == 0 {
		if len(b.heads) == 0 {
			if b.last {
				return 0, io.EOF
			}
			var err error
			if b.heads, err = b.store.Blocks(b.ctx, b.run, b.attempt, b.next, heads); err != nil {
				return 0, err
			}
			b.last = len(b.heads) < heads
			continue
		}
		head := b.heads[0]
		if head.Start > b.next {
			return 0, &HoleError{From: b.next, To: head.Start}
		}
		data, err := b.store.BlockData(b.ctx, b.run, b.attempt, head.Start)
		if err != nil {
			return 0, err
		}
		data = data[:min(head.Size, int64(len(data)))] // the block may have been merged since
		// The offset may be inside the block.
		b.data = data[min(max(b.next-head.Start, 0), int64(len(data))):]
		b.heads, b.next = b.heads[1:], head.Start+head.Size
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}
