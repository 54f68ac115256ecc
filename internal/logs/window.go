package logs

import (
	"context"
	"io"
	"sort"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// heldLines limits the bytes that a reader of lines holds.
	heldLines = 4 << 20
	// MaxReadAhead is the number of journal bytes after the last line of a window that are read for the rest of
	// lines that have not ended.
	MaxReadAhead = 16 << 20
)

// Window selects lines of a log.
type Window struct {
	Filter
	FromLine int64     // 0: from the first
	Lines    int64     // 0: all
	FromTime time.Time // zero: from the first
	ToTime   time.Time // zero: to the last
	Tail     int64     // the number of last lines; -1: not used
	NDJSON   bool      // lines as JSON, and not as text
}

// ByLine reports whether the window selects lines, and not just bytes.
func (q Window) ByLine() bool {
	return q.NDJSON || q.FromLine > 0 || q.Lines > 0 || q.Tail >= 0 || !q.FromTime.IsZero() || !q.ToTime.IsZero()
}

// FirstLine returns the number of the first line of a window, or a number that no line has yet if the window is empty.
func FirstLine(ctx context.Context, store Store, view job.Run, q Window) (int64, error) {
	switch {
	case q.Tail >= 0:
		return TailLine(ctx, store, view, q.Filter, q.Tail)
	case !q.FromTime.IsZero():
		return lineNear(ctx, store, view, q)
	}
	return max(1, q.FromLine), nil
}

// lineNear returns the first line of the first block that ends at FromTime or later. Lines in the block may be older.
func lineNear(ctx context.Context, store Store, view job.Run, q Window) (int64, error) {
	var failed error
	lines := view.Output.Lines
	n := sort.Search(int(lines), func(i int) bool {
		if failed != nil {
			return true
		}
		heads, err := store.BlocksFromLine(ctx, view.ID, view.Attempt, int64(i)+1, 1)
		if err != nil {
			failed = err
		}
		return len(heads) == 0 || !heads[0].LastAt.Before(q.FromTime)
	})
	return int64(n) + 1, failed
}

// TailLine returns the number of the n-th last line that the filter selects. Without a filter it is computed from the
// number of lines; with one, lines are counted block by block from the end.
func TailLine(ctx context.Context, store Store, view job.Run, f Filter, n int64) (int64, error) {
	lines := view.Output.Lines
	if n == 0 {
		return lines + 1, nil
	}
	if f.All() {
		return max(1, lines+1-n), nil
	}
	if lines == 0 {
		return 1, nil
	}
	heads, err := store.BlocksFromLine(ctx, view.ID, view.Attempt, lines, 1)
	for err == nil && len(heads) > 0 {
		head := heads[0]
		c := Cursor{Store: store, Run: view.ID, Attempt: view.Attempt, Pos: head.Start}
		b, ok, err := c.Next(ctx)
		if err != nil || !ok {
			return 1, err
		}
		found, err := linesBegun(b, f, lines)
		if err != nil {
			return 1, err
		}
		if int64(len(found)) >= n {
			return found[int64(len(found))-n], nil
		}
		n -= int64(len(found))
		if b.Head.Start <= journal.HeaderSize || b.Head.FirstLine <= 1 {
			break
		}
		before, ok, err := BlockBefore(ctx, store, view, b.Head.Start)
		if err != nil || !ok {
			return 1, err
		}
		heads = []index.BlockHead{before}
	}
	return 1, err
}

// linesBegun returns the lines up to a number that begin in a block and that the filter selects.
func linesBegun(b Block, f Filter, last int64) ([]int64, error) {
	var found []int64
	b.From = b.Head.Start
	scan := NewLineScan(b.Head)
	err := scanLines(b, scan, scanner{
		begin: func(key Key, _ journal.Record, n int64) *Line {
			if n <= last && f.Match(key.Step, key.Stream) {
				found = append(found, n)
			}
			return nil
		},
	})
	return found, err
}

// windowReader passes the lines of a window on as it reads them.
type windowReader struct {
	q         Window
	from      int64
	upTo      int64 // the last line; 0 for no such end
	linesLeft int64 // the number of lines that still begin; -1: no limit
	bytesLeft int64 // the rest of the output that existed when the request arrived
	over      bool  // later output was read: the window ends here
	started   bool
	scan      *LineScan
	order     lineOrder
	ahead     int64 // the journal bytes read since the last line of the window began
}

// WriteLines writes the lines of a window. from is the number that FirstLine returned for it.
func WriteLines(ctx context.Context, store Store, w io.Writer, view job.Run, q Window, from int64) error {
	start := int64(0) // gaps may precede the first line
	if from > 1 {
		heads, err := store.BlocksFromLine(ctx, view.ID, view.Attempt, from, 1)
		if err != nil {
			return err
		}
		if len(heads) == 0 || from > view.Output.Lines {
			return nil
		}
		start = heads[0].Start
	}
	return newWindowReader(w, q, from).read(ctx, store, view, start)
}

// ReadLines passes the lines from one number to another, and the gaps between them, to a sink. to is 0 for no end.
func ReadLines(ctx context.Context, store Store, view job.Run, f Filter, from, to int64, sink Sink) error {
	start := int64(0)
	if from > 1 {
		heads, err := store.BlocksFromLine(ctx, view.ID, view.Attempt, from, 1)
		if err != nil || len(heads) == 0 {
			return err
		}
		start = heads[0].Start
	}
	wr := &windowReader{
		q: Window{Filter: f, NDJSON: true}, from: from, upTo: to, linesLeft: -1, bytesLeft: -1,
		order: lineOrder{sink: sink, maxHeld: heldLines},
	}
	return wr.read(ctx, store, view, start)
}

// read reads the blocks from an offset on until the window is complete.
func (wr *windowReader) read(ctx context.Context, store Store, view job.Run, start int64) error {
	c := Cursor{Store: store, Run: view.ID, Attempt: view.Attempt, Pos: start}
	for !wr.done() {
		b, ok, err := c.Next(ctx)
		if err != nil {
			return err
		}
		if !ok && wr.bytesLeft > 0 {
			return errMissing
		}
		if !ok {
			break
		}
		if err := wr.block(b, view); err != nil {
			return err
		}
	}
	if wr.bytesLeft <= 0 {
		return wr.order.finish()
	}
	return wr.order.giveUp()
}

func newWindowReader(w io.Writer, q Window, from int64) *windowReader {
	var sink Sink = textSink{w}
	if q.NDJSON {
		sink = newJSONSink(w)
	}
	left := int64(-1)
	if q.Lines > 0 {
		left = q.Lines
	}
	return &windowReader{
		q: q, from: from, linesLeft: left, bytesLeft: -1, // set by the first block
		order: lineOrder{sink: sink, maxHeld: heldLines},
	}
}

// done reports whether the window is complete: all its output was read, or all its lines have begun and ended. In NDJSON
// the ends of lines are searched for only in MaxReadAhead bytes.
func (wr *windowReader) done() bool {
	if wr.over || wr.bytesLeft == 0 && !wr.q.NDJSON { // gaps may still follow the last line
		return true
	}
	if wr.linesLeft != 0 {
		return false
	}
	if wr.q.NDJSON {
		return len(wr.order.queue) == 0 || wr.ahead > MaxReadAhead
	}
	return len(wr.order.queue) == 0 && wr.order.cuts == 0
}

func (wr *windowReader) block(b Block, view job.Run) error {
	if wr.scan == nil { // the first block
		b.From = b.Head.Start
		wr.scan = NewLineScan(b.Head)
		wr.bytesLeft = max(0, view.Output.Bytes-b.Head.OutputStart)
	} else if b.Jumped {
		if err := wr.jump(b.Head, view); err != nil {
			return err
		}
	}
	return scanLines(b, wr.scan, scanner{
		begin: wr.begin,
		piece: func(p Piece) error {
			if p.want == nil {
				return nil
			}
			return wr.order.add(p.want, p.Data, p.Ends)
		},
		close: wr.order.close,
		other: func(rec journal.Record) error { return wr.other(rec) },
		limit: func(data []byte) []byte {
			wr.over = wr.bytesLeft == 0 && len(data) > 0
			data = data[:min(int64(len(data)), wr.bytesLeft)]
			wr.bytesLeft -= int64(len(data))
			if wr.linesLeft == 0 {
				wr.ahead += int64(len(data)) + journal.FrameSize
			}
			return data
		},
		after: func() error {
			if wr.done() {
				return ErrStop
			}
			return nil
		},
	})
}

// jump continues after a part of the journal that was dropped, and adds the gaps.
func (wr *windowReader) jump(head index.BlockHead, view job.Run) error {
	wr.bytesLeft = max(0, view.Output.Bytes-head.OutputStart)
	if err := wr.scan.jump(head, wr.order.close); err != nil || wr.linesLeft == 0 {
		return err
	}
	for _, g := range CutGaps(view.Output.Gaps, wr.q.Filter) {
		if err := wr.order.addGap(&g); err != nil {
			return err
		}
	}
	return nil
}

// begin returns a line that begins, if it is in the window.
func (wr *windowReader) begin(key Key, rec journal.Record, n int64) *Line {
	if wr.upTo > 0 && n > wr.upTo {
		wr.linesLeft = 0
	}
	if !wr.q.ToTime.IsZero() && rec.At.After(wr.q.ToTime) && n >= wr.from {
		wr.linesLeft = 0
	}
	if n < wr.from || wr.linesLeft == 0 || rec.At.Before(wr.q.FromTime) || !wr.q.Match(key.Step, key.Stream) {
		return nil
	}
	wr.started = true
	if wr.linesLeft > 0 {
		wr.linesLeft--
	}
	if wr.upTo > 0 && n >= wr.upTo {
		wr.linesLeft = 0
	}
	return wr.order.begin(&Line{Number: n, At: rec.At, Key: key})
}

// other adds the gaps in the window.
func (wr *windowReader) other(rec journal.Record) error {
	fromStart := wr.from == 1 && wr.q.FromTime.IsZero()
	if rec.Type != journal.TypeGap || wr.linesLeft == 0 || !wr.started && !fromStart {
		return nil
	}
	var gap job.Gap
	if err := journal.Decode(rec, &gap); err != nil || !wr.q.Match(gap.Step, gap.Stream) {
		return err
	}
	if gap.At.IsZero() {
		gap.At = rec.At
	}
	return wr.order.addGap(&gap)
}
