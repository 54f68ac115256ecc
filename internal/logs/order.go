package logs

import (
	"bytes"
	"time"

	"stint.dev/stint/job"
)

// cutLine returns data up to its first newline, which is included. ends says whether there is one.
func cutLine(data []byte) (line []byte, ends bool) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return data[:i+1], true
	}
	return data, false
}

// Line is a line, or a gap, of a window that was not passed on completely.
type Line struct {
	Number   int64
	At       time.Time // of its first byte
	Key      Key
	Bytes    int64    // of the line so far
	Bare     bool     // it has no newline
	gap      *job.Gap // a gap; then nothing else is set
	buf      []byte   // held back until the lines before it have ended
	complete bool     // it is complete: it has its newline, or its step has ended
	cut      bool     // it was passed on before its end
}

// Sink receives lines in the order of their numbers.
type Sink interface {
	// Piece passes the next bytes of the first line.
	Piece(l *Line, data []byte) error
	// End ends the first line: it is complete, or was cut, or the log has no more of it.
	End(l *Line) error
	// Late passes bytes of a line that was cut.
	Late(l *Line, data []byte) error
	// Gap passes a gap in its place.
	Gap(g *job.Gap) error
}

// lineOrder joins the pieces of lines, which are mixed with those of other streams, and passes the lines on in the
// order of their numbers. It holds at most maxHeld bytes: then it cuts the line that does not end.
type lineOrder struct {
	sink      Sink
	queue     []*Line // by number; the first one is passed on as its pieces arrive
	heldBytes int64
	maxHeld   int64
	cuts      int // the number of cut lines that have not ended
}

// perLine is the number of bytes that a held line counts beside its data.
const perLine = 128

func (o *lineOrder) begin(l *Line) *Line {
	o.queue = append(o.queue, l)
	o.heldBytes += perLine
	return l
}

// add adds the next bytes of a line.
func (o *lineOrder) add(l *Line, data []byte, ends bool) error {
	l.Bytes += int64(len(data))
	l.complete, l.Bare = ends, !ends
	switch {
	case l.cut:
		if ends {
			o.cuts--
		}
		return o.sink.Late(l, data)
	case o.queue[0] == l:
		if err := o.sink.Piece(l, data); err != nil {
			return err
		}
	default:
		l.buf = append(l.buf, data...)
		o.heldBytes += int64(len(data))
	}
	return o.advance()
}

// close ends a line without a newline.
func (o *lineOrder) close(l *Line) error {
	l.complete = true
	if l.cut {
		o.cuts--
	}
	return o.advance()
}

// addGap adds a gap.
func (o *lineOrder) addGap(g *job.Gap) error {
	o.begin(&Line{gap: g, complete: true})
	return o.advance()
}

// advance passes on the first lines that are complete.
func (o *lineOrder) advance() error {
	for len(o.queue) > 0 {
		if err := o.flushFirst(); err != nil {
			return err
		}
		first := o.queue[0]
		if !first.complete {
			if o.heldBytes <= o.maxHeld {
				return nil
			}
			first.cut = true
			o.cuts++
		}
		if err := o.pop(); err != nil {
			return err
		}
	}
	return nil
}

// finish passes on the remaining lines, which have no newline.
func (o *lineOrder) finish() error {
	for len(o.queue) > 0 {
		if err := o.flushFirst(); err != nil {
			return err
		}
		if err := o.pop(); err != nil {
			return err
		}
	}
	return nil
}

// giveUp is finish for lines whose rest was not read.
func (o *lineOrder) giveUp() error {
	for _, l := range o.queue {
		l.cut = !l.complete
	}
	return o.finish()
}

func (o *lineOrder) flushFirst() error {
	first := o.queue[0]
	if len(first.buf) == 0 {
		return nil
	}
	buf := first.buf
	first.buf = nil
	o.heldBytes -= int64(len(buf))
	return o.sink.Piece(first, buf)
}

func (o *lineOrder) pop() error {
	first := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.heldBytes -= perLine
	if first.gap != nil {
		return o.sink.Gap(first.gap)
	}
	return o.sink.End(first)
}
