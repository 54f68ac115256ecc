// Package logs reads the log of an attempt out of the stored blocks of its journal: blocks in order, lines
// and windows of them, exact bytes, and the journal itself. It needs the blocks, and no HTTP.
package logs

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Store is what reading journals needs of the store.
type Store interface {
	// Blocks returns the heads of blocks in order, from the one that holds the byte at from on, or
	// the next one.
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlocksFromLine returns them from the one in which a line begins.
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read; *query.NotFoundError when no block begins there any more.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
}

// headsAhead is how many block heads a cursor asks for at once.
const headsAhead = 32

// Cursor reads an attempt's blocks in order. Blocks may be merged into larger ones while
// it reads: it then finds its place again by offset.
type Cursor struct {
	Store   Store
	Run     string
	Attempt int
	Pos     int64 // offset of the next record
	Ahead   int   // how many heads to ask for at once; 0 for as many as is usual
	heads   []index.BlockHead
}

// Block is stored journal bytes of which those from offset From on are yet to be read.
type Block struct {
	Head index.BlockHead
	Data []byte
	From int64
	// Jumped: what was stored before it is gone, and with it the ends of lines that were
	// open there.
	Jumped bool
}

// Next returns the block that holds the cursor's place and moves behind it; false at the
// end of what is stored.
func (c *Cursor) Next(ctx context.Context) (Block, bool, error) {
	const tries = 8 // against merging, which moves blocks away once in a while
	for range tries {
		if len(c.heads) == 0 {
			ahead := c.Ahead
			if ahead == 0 {
				ahead = headsAhead
			}
			heads, err := c.Store.Blocks(ctx, c.Run, c.Attempt, c.Pos, ahead)
			if err != nil {
				return Block{}, false, err
			}
			if len(heads) == 0 {
				return Block{}, false, nil
			}
			c.heads = heads
		}
		head := c.heads[0]
		data, err := c.Store.BlockData(ctx, c.Run, c.Attempt, head.Start)
		var gone *query.NotFoundError
		if errors.As(err, &gone) || err == nil && head.Start+int64(len(data)) <= c.Pos {
			c.heads = nil
			continue
		}
		if err != nil {
			return Block{}, false, err
		}
		c.heads = c.heads[1:]
		b := Block{Head: head, Data: data, From: max(c.Pos, head.Start), Jumped: head.Start > max(c.Pos, journal.HeaderSize)}
		c.Pos = head.Start + int64(len(data))
		return b, true, nil
	}
	return Block{}, false, fmt.Errorf("read journal of run %s attempt %d at byte %d: its blocks kept moving; try again", c.Run, c.Attempt, c.Pos)
}

// BlockBefore returns the head of the last block that begins before an offset; false when
// there is none. Blocks in between may have been dropped.
func BlockBefore(ctx context.Context, store Store, view job.Run, start int64) (index.BlockHead, bool, error) {
	var failed error
	first := func(from int64) (index.BlockHead, bool) {
		heads, err := store.Blocks(ctx, view.ID, view.Attempt, from, 1)
		if err != nil {
			failed = err
		}
		if err != nil || len(heads) == 0 || heads[0].Start >= start {
			return index.BlockHead{}, false
		}
		return heads[0], true
	}
	if head, ok := first(start - 1); ok || failed != nil {
		return head, ok, failed
	}
	// The offset before start lies in a gap: find where that begins.
	found, ok := first(journal.HeaderSize)
	if !ok {
		return found, false, failed
	}
	for low, high := found.Start, start-1; high-low > 1 && failed == nil; {
		middle := low + (high-low)/2
		if head, ok := first(middle); ok {
			found, low = head, middle
		} else {
			high = middle
		}
	}
	return found, failed == nil, failed
}

// CutGaps returns the gaps that trimming and repairs made; those of the journal itself are in it.
func CutGaps(gaps []job.Gap, f Filter) []job.Gap {
	var out []job.Gap
	for _, g := range gaps {
		if (g.Reason == index.CutReason || g.Reason == index.DamageReason) && f.Match(g.Step, g.Stream) {
			out = append(out, g)
		}
	}
	return out
}

// Records calls fn for each record from b.From on, with the offset after it. It stops at
// the first error, and returns ErrStop as nil.
func (b Block) Records(fn func(rec journal.Record, end int64) error) error {
	at := b.From - b.Head.Start
	if b.Head.Start == 0 && at < journal.HeaderSize {
		at = journal.HeaderSize
	}
	for at < int64(len(b.Data)) {
		rec, n, err := journal.Next(b.Data[at:], b.Head.Start+at)
		if err != nil {
			return fmt.Errorf("stored block at byte %d: %w", b.Head.Start, err)
		}
		at += int64(n)
		if err := fn(rec, b.Head.Start+at); err != nil {
			if errors.Is(err, ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// ErrStop ends Records early without being an error.
var ErrStop = errors.New("enough")
