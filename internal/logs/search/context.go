package search

import (
	"cmp"
	"slices"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
)

// context writes the hits in se.waiting and the lines around them, up to the last complete line.
// Each line is written once. The lines are read again from the store, so that a search that
// finds few lines is not slowed down by the context.
func (se *search) context(read int64) error {
	hits := se.waiting
	se.waiting = nil
	slices.SortFunc(hits, func(a, b foundLine) int { return cmp.Compare(a.n, b.n) })
	for len(hits) > 0 && hits[0].n <= se.lastWritten { // a long line, written before its match was found
		if err := se.out.line(hits[0], false); err != nil {
			return err
		}
		hits = hits[1:]
	}
	for len(hits) > 0 {
		if err := se.around(se.lastWritten+1, min(se.contextUntil, hits[0].n-1), nil); err != nil {
			return err
		}
		n := 1 // hits whose contexts overlap are read together
		for n < len(hits) && hits[n].n-se.q.Before <= hits[n-1].n+se.q.After+1 {
			n++
		}
		last := hits[n-1].n
		if err := se.around(max(se.lastWritten+1, hits[0].n-se.q.Before, se.q.From), last, hits[:n]); err != nil {
			return err
		}
		se.contextUntil, hits = last+se.q.After, hits[n:]
		if se.q.To > 0 {
			se.contextUntil = min(se.contextUntil, se.q.To)
		}
	}
	return se.around(se.lastWritten+1, min(se.contextUntil, read), nil)
}

// trail writes the lines after the last match, up to the next match.
func (se *search) trail() error {
	if se.contextUntil <= se.lastWritten {
		return nil
	}
	return se.window(se.lastWritten+1, se.contextUntil, &contextSink{out: se.out, until: se.q.Matcher})
}

// around writes a range of lines: the hits and the lines between them.
func (se *search) around(from, to int64, hits []foundLine) error {
	if to < from {
		return nil
	}
	sink := &contextSink{out: se.out, hits: make(map[int64]foundLine, len(hits))}
	for _, h := range hits {
		sink.hits[h.n] = h
	}
	se.lastWritten = to
	return se.window(from, to, sink)
}

func (se *search) window(from, to int64, sink logs.Sink) error {
	return se.readError(logs.ReadLines(se.ctx, se.store, se.view, se.q.Filter, from, to, sink))
}

// contextSink writes the lines around a match and, between them, the match.
type contextSink struct {
	out  *writer
	hits map[int64]foundLine
	// until, if set, stops the output at the first line that it matches.
	until   *Matcher
	stopped bool
	cur     []byte // bytes of the first line in order
}

func (s *contextSink) Piece(_ *logs.Line, data []byte) error {
	room := maxShown + 2 - len(s.cur) // one byte more than is shown, and the newline
	s.cur = append(s.cur, data[:min(room, len(data))]...)
	return nil
}

func (s *contextSink) End(l *logs.Line) error {
	text := s.cur
	s.cur = s.cur[:0]
	if hit, ok := s.hits[l.Number]; ok {
		return s.out.line(hit, false)
	}
	if !l.Bare && l.Bytes == int64(len(text)) {
		text = text[:len(text)-1]
	}
	if s.until != nil {
		_, _, matches := s.until.find(text)
		s.stopped = s.stopped || matches
	}
	if s.stopped {
		return nil
	}
	return s.out.line(foundLine{n: l.Number, at: l.At, key: l.Key, text: showPlain(text)}, true)
}

func (s *contextSink) Late(*logs.Line, []byte) error { return nil }
func (s *contextSink) Gap(*job.Gap) error            { return nil }
