// Package logs reads the log of an attempt from the stored blocks of its journal: blocks in order, lines and
// windows of lines, exact bytes, and the journal itself. It knows nothing of HTTP.
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

// Store reads the blocks of journals.
type Store interface {
	// Blocks returns the heads of blocks in order, beginning with the one that holds the byte at from, or
	// the next one.
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlocksFromLine returns heads as Blocks does, beginning with the block in which a line begins.
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read; *query.NotFoundError when no block begins there any more.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
}

// headsAhead is the number of block heads that a cursor reads at once.
const headsAhead = 32

// Cursor reads an attempt's blocks in order. Blocks may be merged into larger ones while it reads: it finds
// its position by the offset then.
type Cursor struct {
	Store   Store
	Run     string
	Attempt int
	Pos     int64 // offset of the next record
	Ahead   int   // the number of heads that are read at once; 0 for the default
	heads   []index.BlockHead
}

// Block is a stored block of which the bytes from the offset From on have not been read.
type Block struct {
	Head index.BlockHead
	Data []byte
	From int64
	// Jumped says that the bytes before it were dropped, and with them the ends of lines that were open.
	Jumped bool
}

// Next returns the block at the cursor's position and moves the cursor to its end; false at the end of the
// stored journal.
func (c *Cursor) Next(ctx context.Context) (Block, bool, error) {
	const tries = 8 // a merge may replace the block meanwhile
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

// BlockBefore returns the head of the last block that begins before an offset; false if there is none. Blocks
// between them may have been dropped.
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

// CutGaps returns the gaps that trimming and repairs made. The journal has the others itself.
func CutGaps(gaps []job.Gap, f Filter) []job.Gap {
	var out []job.Gap
	for _, g := range gaps {
		if (g.Reason == index.CutReason || g.Reason == index.DamageReason) && f.Match(g.Step, g.Stream) {
			out = append(out, g)
		}
	}
	return out
}

// Records calls fn for each record from b.From on, with the offset after it. It stops at the first error, which
// it returns unless it is ErrStop.
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

// ErrStop ends Records without an error.
var ErrStop = errors.New("enough")
