package server

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// blockStore is what reading journals back needs of the store.
type blockStore interface {
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
}

// headsAhead is how many block heads a cursor asks for at once.
const headsAhead = 32

// cursor reads an attempt's blocks in order. Blocks may be merged into larger ones while
// it reads: it then finds its place again by offset.
type cursor struct {
	store   blockStore
	run     string
	attempt int
	pos     int64 // offset of the next record
	ahead   int   // how many heads to ask for at once; 0 for headsAhead
	heads   []index.BlockHead
}

// block is stored journal bytes of which those from offset from on are yet to be read.
type block struct {
	head index.BlockHead
	data []byte
	from int64
	// jumped: what was stored before it is gone, and with it the ends of lines that were
	// open there.
	jumped bool
}

// next returns the block that holds the cursor's place and moves behind it; false at the
// end of what is stored.
func (c *cursor) next(ctx context.Context) (block, bool, error) {
	const tries = 8 // against merging, which moves blocks away once in a while
	for range tries {
		if len(c.heads) == 0 {
			ahead := c.ahead
			if ahead == 0 {
				ahead = headsAhead
			}
			heads, err := c.store.Blocks(ctx, c.run, c.attempt, c.pos, ahead)
			if err != nil {
				return block{}, false, err
			}
			if len(heads) == 0 {
				return block{}, false, nil
			}
			c.heads = heads
		}
		head := c.heads[0]
		data, err := c.store.BlockData(ctx, c.run, c.attempt, head.Start)
		var gone *query.NotFoundError
		if errors.As(err, &gone) || err == nil && head.Start+int64(len(data)) <= c.pos {
			c.heads = nil
			continue
		}
		if err != nil {
			return block{}, false, err
		}
		c.heads = c.heads[1:]
		b := block{head: head, data: data, from: max(c.pos, head.Start), jumped: head.Start > max(c.pos, journal.HeaderSize)}
		c.pos = head.Start + int64(len(data))
		return b, true, nil
	}
	return block{}, false, fmt.Errorf("read journal of run %s attempt %d at byte %d: its blocks kept moving; try again", c.run, c.attempt, c.pos)
}

// blockBefore returns the head of the last block that begins before an offset; false when
// there is none. Blocks in between may have been dropped.
func blockBefore(ctx context.Context, store blockStore, view job.Run, start int64) (index.BlockHead, bool, error) {
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

// cutGaps are the gaps that trimming and repairs made; those of the journal itself stand in it.
func cutGaps(gaps []job.Gap, f outputFilter) []job.Gap {
	var out []job.Gap
	for _, g := range gaps {
		if (g.Reason == index.CutReason || g.Reason == index.DamageReason) && f.match(g.Step, g.Stream) {
			out = append(out, g)
		}
	}
	return out
}

// records calls fn for each record from b.from on, with the offset after it. It stops at
// the first error, and returns errStop as nil.
func (b block) records(fn func(rec journal.Record, end int64) error) error {
	at := b.from - b.head.Start
	if b.head.Start == 0 && at < journal.HeaderSize {
		at = journal.HeaderSize
	}
	for at < int64(len(b.data)) {
		rec, n, err := journal.Next(b.data[at:], b.head.Start+at)
		if err != nil {
			return fmt.Errorf("stored block at byte %d: %w", b.head.Start, err)
		}
		at += int64(n)
		if err := fn(rec, b.head.Start+at); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// errStop ends an iteration early without being an error.
var errStop = errors.New("enough")

// outputKey names one stream of one step.
type outputKey struct {
	step   int
	stream job.Stream
}

// lineScan numbers the lines of an attempt as it reads its output in journal order. A line
// belongs to one stream of one step and ends with a newline; lines are numbered in the
// order of their first byte.
type lineScan struct {
	next int64 // number of the next line to begin
	open map[outputKey]openLine
}

type openLine struct {
	n    int64
	want *pendingLine // nil when nobody asked for the line
}

// newLineScan begins at the start of a block.
func newLineScan(head index.BlockHead) *lineScan {
	s := &lineScan{next: head.FirstLine, open: make(map[outputKey]openLine, len(head.Open))}
	if s.next < 1 {
		s.next = 1
	}
	for _, o := range head.Open {
		s.open[outputKey{o.Step, o.Stream}] = openLine{n: o.Line}
	}
	return s
}

// jump goes on at a block behind a part of the journal that the server dropped. Lines that
// ended in that part are closed.
func (s *lineScan) jump(head index.BlockHead, fn func(*pendingLine) error) error {
	fresh := newLineScan(head)
	for key, line := range s.open {
		if now, open := fresh.open[key]; open && now.n == line.n {
			fresh.open[key] = line
			continue
		}
		if line.want == nil {
			continue
		}
		if err := fn(line.want); err != nil {
			return err
		}
	}
	*s = *fresh
	return nil
}

// piece is a part of one line: all of it that stands in one record.
type piece struct {
	n      int64
	begins bool // first byte of the line
	ends   bool // its newline is the last byte of data
	data   []byte
	want   *pendingLine
}

// output cuts one record's output into pieces. begin is asked for each line that begins,
// and what it returns is remembered with the line.
func (s *lineScan) output(key outputKey, data []byte, begin func(n int64) *pendingLine, fn func(piece) error) error {
	for len(data) > 0 {
		line, open := s.open[key]
		p := piece{begins: !open}
		if !open {
			line = openLine{n: s.next, want: begin(s.next)}
			s.next++
		}
		p.n, p.want = line.n, line.want
		p.data, p.ends = cutLine(data)
		data = data[len(p.data):]
		if p.ends {
			if open {
				delete(s.open, key)
			}
		} else if !open {
			s.open[key] = line
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// stepEnded closes the lines of a step: should it print again, a new line begins.
func (s *lineScan) stepEnded(step int, fn func(*pendingLine) error) error {
	for _, stream := range []job.Stream{job.Stdout, job.Stderr} {
		key := outputKey{step, stream}
		line, open := s.open[key]
		if !open {
			continue
		}
		delete(s.open, key)
		if line.want == nil {
			continue
		}
		if err := fn(line.want); err != nil {
			return err
		}
	}
	return nil
}
