package server

import (
	"context"
	"io"
	"sort"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// firstLine is the number of the line that a window begins with, or one no line has yet
// when the window is empty.
func firstLine(ctx context.Context, store blockStore, view job.Run, q logQuery) (int64, error) {
	switch {
	case q.tail >= 0:
		return tailLine(ctx, store, view, q.outputFilter, q.tail)
	case !q.fromTime.IsZero():
		return lineNear(ctx, store, view, q)
	}
	return max(1, q.fromLine), nil
}

// lineNear is the first line of the first block that reaches up to a time. Lines in it
// may be older still.
func lineNear(ctx context.Context, store blockStore, view job.Run, q logQuery) (int64, error) {
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
		return len(heads) == 0 || !heads[0].LastAt.Before(q.fromTime)
	})
	return int64(n) + 1, failed
}

// tailLine is the number of the n-th last line that the filter lets through. Without a
// filter the count of lines says it; with one, blocks are counted from the end backwards.
func tailLine(ctx context.Context, store blockStore, view job.Run, f outputFilter, n int64) (int64, error) {
	lines := view.Output.Lines
	if n == 0 {
		return lines + 1, nil
	}
	if f.all() {
		return max(1, lines+1-n), nil
	}
	if lines == 0 {
		return 1, nil
	}
	heads, err := store.BlocksFromLine(ctx, view.ID, view.Attempt, lines, 1)
	for err == nil && len(heads) > 0 {
		head := heads[0]
		c := cursor{store: store, run: view.ID, attempt: view.Attempt, pos: head.Start}
		b, ok, err := c.next(ctx)
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
		if b.head.Start <= journal.HeaderSize || b.head.FirstLine <= 1 {
			break
		}
		before, ok, err := blockBefore(ctx, store, view, b.head.Start)
		if err != nil || !ok {
			return 1, err
		}
		heads = []index.BlockHead{before}
	}
	return 1, err
}

// linesBegun lists the lines up to a number that begin in a block and pass the filter.
func linesBegun(b block, f outputFilter, last int64) ([]int64, error) {
	var found []int64
	b.from = b.head.Start
	scan := newLineScan(b.head)
	err := scanLines(b, scan, scanner{
		begin: func(key outputKey, _ journal.Record, n int64) *pendingLine {
			if n <= last && f.match(key.step, key.stream) {
				found = append(found, n)
			}
			return nil
		},
	})
	return found, err
}

// scanner is called back while lines are read. Only begin is needed.
type scanner struct {
	begin func(key outputKey, rec journal.Record, n int64) *pendingLine
	piece func(piece) error
	close func(*pendingLine) error
	other func(journal.Record) error // records that are not output
	limit func(data []byte) []byte   // cuts output that is beyond what was asked for
	after func() error               // after every record
}

// scanLines reads the records of a block as lines.
func scanLines(b block, scan *lineScan, on scanner) error {
	return b.records(func(rec journal.Record, _ int64) error {
		if err := scanRecord(rec, scan, on); err != nil {
			return err
		}
		if on.after != nil {
			return on.after()
		}
		return nil
	})
}

func scanRecord(rec journal.Record, scan *lineScan, on scanner) error {
	switch rec.Type {
	case journal.TypeOutput:
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			return err
		}
		key := outputKey{o.Step, o.Stream}
		if on.limit != nil {
			o.Data = on.limit(o.Data)
		}
		return scan.output(key, o.Data, func(n int64) *pendingLine { return on.begin(key, rec, n) }, func(p piece) error {
			if on.piece == nil {
				return nil
			}
			return on.piece(p)
		})
	case journal.TypeStepEnded:
		var ended journal.StepEnded
		if err := journal.Decode(rec, &ended); err != nil {
			return err
		}
		err := scan.stepEnded(ended.Index, func(l *pendingLine) error {
			if on.close == nil {
				return nil
			}
			return on.close(l)
		})
		if err != nil {
			return err
		}
	}
	if on.other != nil {
		return on.other(rec)
	}
	return nil
}

// windowReader writes the lines of a window as it meets them.
type windowReader struct {
	q     logQuery
	from  int64
	upTo  int64 // the last line; 0 for no such end
	left  int64 // lines still to begin; -1: no limit
	bytes int64 // output still to read, of what was there when the request came
	over  bool  // output that came later was met: the window ends here
	begun bool
	scan  *lineScan
	order lineOrder
	ahead int64 // journal bytes read after the last line of the window began
}

// writeLines writes whole lines from a number on.
func writeLines(ctx context.Context, store blockStore, w io.Writer, view job.Run, q logQuery, from int64) error {
	start := int64(0) // from the first line: gaps may come even before it
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

// read reads the blocks from an offset on until the window is whole.
func (wr *windowReader) read(ctx context.Context, store blockStore, view job.Run, start int64) error {
	c := cursor{store: store, run: view.ID, attempt: view.Attempt, pos: start}
	for !wr.done() {
		b, ok, err := c.next(ctx)
		if err != nil {
			return err
		}
		if !ok && wr.bytes > 0 {
			return errMissing
		}
		if !ok {
			break
		}
		if err := wr.block(b, view); err != nil {
			return err
		}
	}
	if wr.bytes <= 0 {
		return wr.order.finish()
	}
	return wr.order.giveUp()
}

func newWindowReader(w io.Writer, q logQuery, from int64) *windowReader {
	var sink lineSink = textSink{w}
	if q.ndjson {
		sink = newJSONSink(w)
	}
	left := int64(-1)
	if q.lines > 0 {
		left = q.lines
	}
	return &windowReader{
		q: q, from: from, left: left, bytes: -1, // until the first block says
		order: lineOrder{sink: sink, maxHeld: heldLines},
	}
}

// done reports whether the window is whole: all its output was read, or all its lines
// have begun and ended. Lines that will not end are looked for only so far in NDJSON.
func (wr *windowReader) done() bool {
	if wr.over || wr.bytes == 0 && !wr.q.ndjson { // gaps may still follow the last line
		return true
	}
	if wr.left != 0 {
		return false
	}
	if wr.q.ndjson {
		return len(wr.order.queue) == 0 || wr.ahead > lookAhead
	}
	return len(wr.order.queue) == 0 && wr.order.cuts == 0
}

func (wr *windowReader) block(b block, view job.Run) error {
	if wr.scan == nil { // the first block
		b.from = b.head.Start
		wr.scan = newLineScan(b.head)
		wr.bytes = max(0, view.Output.Bytes-b.head.OutputStart)
	} else if b.jumped {
		if err := wr.jump(b.head, view); err != nil {
			return err
		}
	}
	return scanLines(b, wr.scan, scanner{
		begin: wr.begin,
		piece: func(p piece) error {
			if p.want == nil {
				return nil
			}
			return wr.order.add(p.want, p.data, p.ends)
		},
		close: wr.order.close,
		other: func(rec journal.Record) error { return wr.other(rec) },
		limit: func(data []byte) []byte {
			wr.over = wr.bytes == 0 && len(data) > 0
			data = data[:min(int64(len(data)), wr.bytes)]
			wr.bytes -= int64(len(data))
			if wr.left == 0 {
				wr.ahead += int64(len(data)) + journal.FrameSize
			}
			return data
		},
		after: func() error {
			if wr.done() {
				return errStop
			}
			return nil
		},
	})
}

// jump goes on behind a part of the journal that the server dropped, and shows the gaps.
func (wr *windowReader) jump(head index.BlockHead, view job.Run) error {
	wr.bytes = max(0, view.Output.Bytes-head.OutputStart)
	if err := wr.scan.jump(head, wr.order.close); err != nil || wr.left == 0 {
		return err
	}
	for _, g := range cutGaps(view.Output.Gaps, wr.q.outputFilter) {
		if err := wr.order.addGap(&g); err != nil {
			return err
		}
	}
	return nil
}

// begin decides whether a line that begins belongs to the window.
func (wr *windowReader) begin(key outputKey, rec journal.Record, n int64) *pendingLine {
	if wr.upTo > 0 && n > wr.upTo {
		wr.left = 0
	}
	if !wr.q.toTime.IsZero() && rec.At.After(wr.q.toTime) && n >= wr.from {
		wr.left = 0
	}
	if n < wr.from || wr.left == 0 || rec.At.Before(wr.q.fromTime) || !wr.q.match(key.step, key.stream) {
		return nil
	}
	wr.begun = true
	if wr.left > 0 {
		wr.left--
	}
	if wr.upTo > 0 && n >= wr.upTo {
		wr.left = 0
	}
	return wr.order.begin(&pendingLine{n: n, at: rec.At, key: key})
}

// other shows the gaps that fall into the window.
func (wr *windowReader) other(rec journal.Record) error {
	fromStart := wr.from == 1 && wr.q.fromTime.IsZero()
	if rec.Type != journal.TypeGap || wr.left == 0 || !wr.begun && !fromStart {
		return nil
	}
	var gap job.Gap
	if err := journal.Decode(rec, &gap); err != nil || !wr.q.match(gap.Step, gap.Stream) {
		return err
	}
	if gap.At.IsZero() {
		gap.At = rec.At
	}
	return wr.order.addGap(&gap)
}
