package search

import (
	"bytes"
	"errors"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// maxPending bounds the bytes of incomplete lines that a search keeps, over all streams.
const maxPending = 4 << 20

// foundLine is a line that matches.
type foundLine struct {
	n    int64
	at   time.Time // of its first byte
	key  logs.Key
	text shownText
}

// openLine is a line whose end was not read yet.
type openLine struct {
	n   int64
	at  time.Time
	buf []byte
	// dropped is set if the bytes before buf were searched and dropped.
	dropped bool
	hit     *shownText // the match in the dropped bytes
	// old is set if the line began before the searched bytes; it is not reported.
	old bool
}

// scanner searches output in journal order. It numbers lines as lineScan does, but
// counts newlines where nothing was found instead of splitting lines.
type scanner struct {
	m        *Matcher
	filter   logs.Filter
	from, to int64 // lines to report; to is 0 for no end
	silent   bool  // hits have no text
	hit      func(foundLine) error
	// check is called at intervals; its error ends the search.
	check func() error

	next      int64
	last      int64 // the highest line found
	open      map[logs.Key]*openLine
	bytes     int64 // output searched
	bytesLeft int64 // output still to search; -1: no end
	// fragments, if not nil, collects the ends of old lines.
	fragments map[logs.Key]*openLine
	// closing is set if only open lines are searched up to their ends; why is the reason.
	closing  bool
	closeErr error
	patient  bool // the search does not end at its deadline
}

// stop ends the search after the line last: open lines up to it are searched up to their ends.
func (s *scanner) stop(last int64, why error) {
	if s.closing {
		return
	}
	s.closing, s.closeErr = true, why
	if s.to == 0 || last < s.to {
		s.to = last
	}
}

// found reports a hit. The hit that reaches the limit ends the search.
func (s *scanner) found(h foundLine) error {
	s.last = max(s.last, h.n)
	err := s.hit(h)
	if errors.Is(err, errLimit) {
		s.stop(s.last, err)
		return nil
	}
	return err
}

// pause calls check before the line next is searched.
func (s *scanner) pause(next int64) error {
	if s.closing {
		return nil
	}
	err := s.check()
	switch {
	case !errors.Is(err, errTime):
		return err
	case next > s.from && !s.patient: // otherwise a client that continues at next_line would make no progress
		s.stop(next-1, err)
	}
	return nil
}

// start sets the lines that are open at the beginning of a block.
func (s *scanner) start(head index.BlockHead) {
	s.next = max(1, head.FirstLine)
	s.open = make(map[logs.Key]*openLine, len(head.Open))
	for _, o := range head.Open {
		s.open[logs.Key{Step: o.Step, Stream: o.Stream}] = &openLine{n: o.Line, old: true}
	}
}

// block searches the records of a block.
func (s *scanner) block(b logs.Block) error {
	return b.Records(func(rec journal.Record, _ int64) error {
		switch rec.Type {
		case journal.TypeOutput:
			if err := s.output(rec); err != nil {
				return err
			}
			if s.bytesLeft == 0 || s.closing && !s.waiting() {
				return logs.ErrStop
			}
		case journal.TypeStepEnded:
			var ended journal.StepEnded
			if err := journal.Decode(rec, &ended); err != nil {
				return err
			}
			return s.stepEnded(ended.Index)
		}
		return nil
	})
}

func (s *scanner) output(rec journal.Record) error {
	o, err := journal.DecodeOutput(rec)
	if err != nil {
		return err
	}
	data := o.Data
	if s.bytesLeft >= 0 {
		data = data[:min(int64(len(data)), s.bytesLeft)]
		s.bytesLeft -= int64(len(data))
	}
	s.bytes += int64(len(data))
	key := logs.Key{Step: o.Step, Stream: o.Stream}
	if data, err = s.rest(key, data); err != nil || len(data) == 0 {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if err := s.lines(key, rec.At, data[:whole]); err != nil {
		return err
	}
	if tail := data[whole:]; len(tail) > 0 {
		line := &openLine{n: s.next, at: rec.At}
		s.open[key] = line
		s.next++
		if s.wanted(key, line.n) && !s.closing {
			s.extend(line, tail)
		}
	}
	return s.pause(s.next)
}

// rest adds bytes to the open line of a stream and returns the bytes after this line.
func (s *scanner) rest(key logs.Key, data []byte) ([]byte, error) {
	line := s.open[key]
	if line == nil || len(data) == 0 {
		return data, nil
	}
	end := bytes.IndexByte(data, '\n')
	part, after := data, []byte(nil)
	if end >= 0 {
		part, after = data[:end], data[end+1:]
	}
	if line.old && s.fragments != nil && s.filter.Match(key.Step, key.Stream) || !line.old && s.wanted(key, line.n) {
		s.extend(line, part)
	}
	if end < 0 {
		return nil, nil
	}
	return after, s.finish(key, line)
}

// wanted reports whether the query includes the line.
func (s *scanner) wanted(key logs.Key, n int64) bool {
	return n >= s.from && (s.to == 0 || n <= s.to) && s.filter.Match(key.Step, key.Stream)
}

// lines searches whole lines, the first of which is s.next.
func (s *scanner) lines(key logs.Key, at time.Time, data []byte) error {
	n, pos := s.next, 0
	count := bytes.Count(data, []byte{'\n'})
	s.next += int64(count)
	if s.closing || s.next <= s.from || s.to > 0 && n > s.to || !s.filter.Match(key.Step, key.Stream) {
		return nil
	}
	for searched := 0; pos < len(data); {
		start := pos
		if s.m.need != nil {
			found := s.m.need(data[pos:])
			if found < 0 {
				return nil
			}
			start = pos + bytes.LastIndexByte(data[pos:pos+found], '\n') + 1
			n += int64(bytes.Count(data[pos:start], []byte{'\n'}))
		}
		end := start + bytes.IndexByte(data[start:], '\n')
		line := data[start:end]
		if s.wanted(key, n) {
			if err := s.whole(key, at, n, line); err != nil {
				return err
			}
		}
		if searched += len(line); searched > 64<<10 && s.m.re != nil {
			searched = 0
			if err := s.pause(n + 1); err != nil {
				return err
			}
		}
		if s.closing {
			return nil
		}
		pos = end + 1
		n++
	}
	return nil
}

// whole searches one complete line.
func (s *scanner) whole(key logs.Key, at time.Time, n int64, line []byte) error {
	from, to, ok := s.m.find(line)
	if !ok {
		return nil
	}
	h := foundLine{n: n, at: at, key: key}
	if !s.silent {
		h.text = s.m.show(line, from, to)
	}
	return s.found(h)
}

// extend adds bytes to an open line. The buffer is bounded: when it is full, its
// beginning is searched and dropped.
func (s *scanner) extend(line *openLine, data []byte) {
	most := max(2*pieceOverlap, maxPending/max(1, len(s.open)))
	most = min(most, matchPiece)
	for len(data) > 0 {
		if line.hit != nil { // the line matches already
			return
		}
		take := min(len(data), most-len(line.buf))
		line.buf = append(line.buf, data[:take]...)
		data = data[take:]
		if len(line.buf) < most || len(data) == 0 {
			continue
		}
		s.search(line)
		keep := copy(line.buf, line.buf[len(line.buf)-pieceOverlap:])
		line.buf, line.dropped = line.buf[:keep], true
	}
}

// search searches the buffer of a line.
func (s *scanner) search(line *openLine) {
	if line.hit != nil {
		return
	}
	if from, to, ok := s.m.find(line.buf); ok {
		shown := s.m.show(line.buf, from, to)
		shown.Cut = shown.Cut || line.dropped
		line.hit = &shown
	}
}

// finish closes an open line at its end.
func (s *scanner) finish(key logs.Key, line *openLine) error {
	delete(s.open, key)
	if line.old {
		if s.fragments != nil {
			s.fragments[key] = line
		}
		return nil
	}
	return s.report(key, line)
}

func (s *scanner) report(key logs.Key, line *openLine) error {
	if !s.wanted(key, line.n) {
		return nil
	}
	s.search(line)
	if line.hit == nil {
		return nil
	}
	return s.found(foundLine{n: line.n, at: line.at, key: key, text: *line.hit})
}

// stepEnded closes the open lines of a step.
func (s *scanner) stepEnded(step int) error {
	for _, stream := range []job.Stream{job.Stdout, job.Stderr} {
		key := logs.Key{Step: step, Stream: stream}
		if line := s.open[key]; line != nil {
			if err := s.finish(key, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// end reports the lines that are still open.
func (s *scanner) end() error {
	for _, key := range s.openKeys() {
		if line := s.open[key]; !line.old {
			if err := s.report(key, line); err != nil {
				return err
			}
		}
	}
	s.open = nil
	return nil
}

// waiting reports whether the search needs the end of an open line.
func (s *scanner) waiting() bool {
	for key, line := range s.open {
		if line.old && s.fragments != nil && s.filter.Match(key.Step, key.Stream) || !line.old && s.wanted(key, line.n) {
			return true
		}
	}
	return false
}

// complete returns the last line before which all hits were reported.
func (s *scanner) complete() int64 {
	n := s.next
	for key, line := range s.open {
		if !line.old && s.wanted(key, line.n) {
			n = min(n, line.n)
		}
	}
	return n - 1
}
