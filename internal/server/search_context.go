package server

import (
	"cmp"
	"slices"

	"stint.dev/stint/job"
)

// context sends the hits that wait, with the lines around them, as far as lines were read.
// Each line is sent once. The lines are read again from the store, so that a search that
// finds little costs hardly more with context than without.
func (se *search) context(read int64) error {
	hits := se.waiting
	se.waiting = nil
	slices.SortFunc(hits, func(a, b searchHit) int { return cmp.Compare(a.n, b.n) })
	for len(hits) > 0 && hits[0].n <= se.toldTo { // a line that began long before its match came
		if err := se.out.line(hits[0], false); err != nil {
			return err
		}
		hits = hits[1:]
	}
	for len(hits) > 0 {
		if err := se.around(se.toldTo+1, min(se.owed, hits[0].n-1), nil); err != nil {
			return err
		}
		n := 1 // hits whose context touches are read together
		for n < len(hits) && hits[n].n-se.q.before <= hits[n-1].n+se.q.after+1 {
			n++
		}
		last := hits[n-1].n
		if err := se.around(max(se.toldTo+1, hits[0].n-se.q.before, se.q.from), last, hits[:n]); err != nil {
			return err
		}
		se.owed, hits = last+se.q.after, hits[n:]
		if se.q.to > 0 {
			se.owed = min(se.owed, se.q.to)
		}
	}
	return se.around(se.toldTo+1, min(se.owed, read), nil)
}

// trail sends the lines that the last match is owed, up to the next match.
func (se *search) trail() error {
	if se.owed <= se.toldTo {
		return nil
	}
	return se.window(se.toldTo+1, se.owed, &contextSink{out: se.out, until: se.q.matcher})
}

// around sends lines from one number to another: the hits, and what is between them.
func (se *search) around(from, to int64, hits []searchHit) error {
	if to < from {
		return nil
	}
	sink := &contextSink{out: se.out, hits: make(map[int64]searchHit, len(hits))}
	for _, h := range hits {
		sink.hits[h.n] = h
	}
	se.toldTo = to
	return se.window(from, to, sink)
}

func (se *search) window(from, to int64, sink lineSink) error {
	start := int64(0)
	if from > 1 {
		heads, err := se.store.BlocksFromLine(se.ctx, se.view.ID, se.view.Attempt, from, 1)
		if err != nil || len(heads) == 0 {
			return se.quiet(err)
		}
		start = heads[0].Start
	}
	wr := &windowReader{
		q: logQuery{outputFilter: se.q.outputFilter, ndjson: true}, from: from, upTo: to, left: -1, bytes: -1,
		order: lineOrder{sink: sink, maxHeld: heldLines},
	}
	return se.quiet(wr.read(se.ctx, se.store, se.view, start))
}

// contextSink writes the lines around a match, and the match in its place.
type contextSink struct {
	out  *searchWriter
	hits map[int64]searchHit
	// until, when set, ends the lines before the first one that matches.
	until *matcher
	ended bool
	cur   []byte // of the line that is first in order
}

func (s *contextSink) piece(_ *pendingLine, data []byte) error {
	room := maxShown + 2 - len(s.cur) // a byte more than is shown, and the newline
	s.cur = append(s.cur, data[:min(room, len(data))]...)
	return nil
}

func (s *contextSink) end(l *pendingLine) error {
	text := s.cur
	s.cur = s.cur[:0]
	if hit, ok := s.hits[l.n]; ok {
		return s.out.line(hit, false)
	}
	if !l.bare && l.bytes == int64(len(text)) {
		text = text[:len(text)-1]
	}
	if s.until != nil {
		_, _, matches := s.until.find(text)
		s.ended = s.ended || matches
	}
	if s.ended {
		return nil
	}
	return s.out.line(searchHit{n: l.n, at: l.at, key: l.key, text: showPlain(text)}, true)
}

func (s *contextSink) late(*pendingLine, []byte) error { return nil }
func (s *contextSink) gap(*job.Gap) error              { return nil }
