package logs

import (
	"bytes"
	"time"

	"stint.dev/stint/job"
)

// cutLine returns data up to and with its first newline.
func cutLine(data []byte) (line []byte, ends bool) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return data[:i+1], true
	}
	return data, false
}

// Line is a line, or a gap, that was asked for and not yet passed on whole.
type Line struct {
	Number int64
	At     time.Time // of its first byte
	Key    Key
	Bytes  int64    // of the line so far
	Bare   bool     // it has no newline
	gap    *job.Gap // a gap in its place among the lines; then nothing else is set
	buf    []byte   // held back until the lines before it have ended
	ended  bool     // nothing more of it comes: its newline is there, or its step has ended
	cut    bool     // it was given up on: passed on before its end
}

// Sink takes lines in the order of their numbers.
type Sink interface {
	// Piece brings the next bytes of the line that is first in order.
	Piece(l *Line, data []byte) error
	// End says that no more comes in order: the line has ended, or was cut, or the log
	// has no more of it.
	End(l *Line) error
	// Late brings bytes of a line that was cut.
	Late(l *Line, data []byte) error
	// Gap brings a gap in its place.
	Gap(g *job.Gap) error
}

// lineOrder puts lines together whose pieces are spread over records, mixed with those of
// other streams, and passes them on in the order of their numbers. What it holds back for
// a line that does not end is bounded: past maxHeld bytes that line is cut.
type lineOrder struct {
	sink    Sink
	queue   []*Line // by number; the first one is passed on as it comes
	held    int64
	maxHeld int64
	cuts    int // lines cut that have not ended
}

// perLine is what a held-back line counts beside its bytes.
const perLine = 128

func (o *lineOrder) begin(l *Line) *Line {
	o.queue = append(o.queue, l)
	o.held += perLine
	return l
}

// add takes the next bytes of a line that began.
func (o *lineOrder) add(l *Line, data []byte, ends bool) error {
	l.Bytes += int64(len(data))
	l.ended, l.Bare = ends, !ends
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
		o.held += int64(len(data))
	}
	return o.advance()
}

// close ends a line that got no newline.
func (o *lineOrder) close(l *Line) error {
	l.ended = true
	if l.cut {
		o.cuts--
	}
	return o.advance()
}

// addGap puts a gap in its place.
func (o *lineOrder) addGap(g *job.Gap) error {
	o.begin(&Line{gap: g, ended: true})
	return o.advance()
}

// advance passes on what stands first in order and is there.
func (o *lineOrder) advance() error {
	for len(o.queue) > 0 {
		if err := o.flushFirst(); err != nil {
			return err
		}
		first := o.queue[0]
		if !first.ended {
			if o.held <= o.maxHeld {
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

// finish passes on all that is left: lines whose newline never came.
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

// giveUp is finish for lines whose rest nobody looked for.
func (o *lineOrder) giveUp() error {
	for _, l := range o.queue {
		l.cut = !l.ended
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
	o.held -= int64(len(buf))
	return o.sink.Piece(first, buf)
}

func (o *lineOrder) pop() error {
	first := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.held -= perLine
	if first.gap != nil {
		return o.sink.Gap(first.gap)
	}
	return o.sink.End(first)
}
