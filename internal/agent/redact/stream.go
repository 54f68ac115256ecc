package redact

import "slices"

// maxBreak bounds the bytes of a line end and the blanks behind it inside of base64.
const maxBreak = 10

// Stream masks one stream of bytes that comes in pieces. It is for one goroutine.
//
// The end of a piece that may be the beginning of a value is held back, and nothing else
// is: less than the longest form of a value, and only until a byte comes that cannot belong
// to it. There is no time limit on that: what was released after a pause could be the first
// half of a secret, and a program that prints it byte by byte would have it shown whole. The
// price is that the last characters of a prompt may be missing while they are also the first
// of a value.
type Stream struct {
	set      *Set
	matches  []match
	next     []match // memory for the matches of the next byte
	taken    int     // how often take was called for this byte
	escapes  []int   // where in held each escape begins that is not complete
	held     []byte
	covered  []bool  // which of held belong to an occurrence
	newest   span    // of covered: the last ones that follow each other without a break
	implied  []int32 // patterns of which a match that continues with this byte represents one that begins with it
	released int     // how many of held went out already
	inMark   bool    // the last byte that went out belongs to a mark
}

// match is the beginning of an occurrence: held[start:end] stands for pattern.text[:at].
//
// It represents shorter ones, too: those that begin behind one of its first run bytes, each of
// which takes width held bytes. A shorter one with the same end represents the last part of what
// the match represents, and for the beginning of the pattern at the same time: the links of the
// pattern list these lengths (see next). So a text that repeats itself, as the pattern does, makes
// one match and not as many as the pattern is long.
type match struct {
	pattern    int32
	at         int32
	run        int32 // at: one that begins right behind it is meant, too
	width      int8
	brk        int8 // how many bytes of a line break were taken behind the last character
	start, end int
}

// span is a part of the held bytes.
type span struct{ from, to int }

// next returns the longest of the shorter matches that m represents, which represents the rest
// of them, and false if there is none.
func (s *Set) next(m match) (match, bool) {
	if m.at == 1 || m.run == 0 {
		return m, false
	}
	shorter := s.linksOf(m.pattern)[m.at]
	skipped := m.at - shorter
	if shorter == 0 || skipped > m.run {
		return m, false
	}
	m.at, m.run, m.start = shorter, m.run-skipped, m.start+int(skipped)*int(m.width)
	return m, true
}

// Stream begins a stream.
func (s *Set) Stream() *Stream { return &Stream{set: s} }

// Mask appends to dst what of the stream is decided after src, and returns dst. That may be
// more than src has: a Mark can be longer than the value.
func (st *Stream) Mask(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		if len(st.matches) == 0 && len(st.escapes) == 0 { // so nothing is held
			if n := st.set.filter.skip(src[i:]); n > 0 {
				dst = append(dst, src[i:i+n]...)
				st.inMark = false
				if i += n; i == len(src) {
					break
				}
			}
		}
		if n := st.follow(src[i:]); n > 0 {
			i += n - 1
			continue // nothing was decided
		}
		st.step(src[i], src[i+1:])
		dst = st.release(dst, st.undecided())
	}
	return dst
}

// Flush appends what is still held, at the end of the stream, and returns dst.
func (st *Stream) Flush(dst []byte) []byte {
	st.matches, st.escapes = st.matches[:0], st.escapes[:0]
	return st.release(dst, len(st.held))
}

// follow takes the bytes with which a single match goes on and nothing else begins, but for
// the last of its pattern, and returns how many these are. It is a quick way of what step does.
func (st *Stream) follow(src []byte) int {
	if len(st.matches) != 1 || len(st.escapes) != 0 || st.matches[0].brk > 0 {
		return 0
	}
	s, m := st.set, &st.matches[0]
	rest := s.patterns[m.pattern].text[m.at:]
	n := 0
	for ; n < len(rest)-1 && n+1 < len(src) && src[n] == rest[n]; n++ {
		if b := src[n]; s.intro[b] || b == '+' || s.filter.begin.has(b, src[n+1]) {
			break
		}
	}
	if m.run == m.at && m.width == 1 {
		m.run += int32(n)
	}
	m.at += int32(n)
	m.end += n
	st.held = append(st.held, src[:n]...)
	st.covered = append(st.covered, make([]bool, n)...)
	return n
}

// step takes one byte: as itself, and as the end of an escape. behind is what follows it as
// far as that is known.
func (st *Stream) step(b byte, behind []byte) {
	last := len(st.held)
	st.held, st.covered = append(st.held, b), append(st.covered, false)
	st.next, st.taken = st.next[:0], 0
	begins := len(behind) == 0 || st.set.filter.begin.has(b, behind[0])
	st.take(last, st.held[last:], begins)
	if b == '+' {
		st.take(last, []byte{' '}, begins)
	}
	open := st.escapes[:0]
	for _, start := range st.escapes {
		p, text, other := unit(st.held[start:])
		switch p {
		case openUnit:
			open = append(open, start)
		case fullUnit:
			st.take(start, text, true)
			if other != nil {
				st.take(start, other, true)
			}
		}
	}
	if st.set.intro[b] && (begins || len(st.next) > 0 || len(st.matches) > 0) {
		open = append(open, last)
	}
	st.escapes = open
	for _, m := range st.matches { // it may go on with an escape that is not complete
		if m.end <= last && st.isOpen(m.end) {
			st.next = append(st.next, m)
		}
	}
	st.matches, st.next = st.next, st.matches
}

func (st *Stream) isOpen(at int) bool {
	for _, start := range st.escapes {
		if start == at {
			return true
		}
	}
	return false
}

// take lets what held[start:] stands for continue matches and, if it can, begin new ones.
func (st *Stream) take(start int, text []byte, begins bool) {
	s := st.set
	st.taken++
	st.implied = st.implied[:0]
	escaped := len(st.held)-start > 1
	for _, m := range st.matches {
		if m.end != start {
			continue
		}
		p := &s.patterns[m.pattern]
		if p.wraps && breaks(int(m.brk), text[0], escaped) {
			m.brk++
			m.run = min(m.run, m.at-1)
			m.end = len(st.held)
			st.keep(m)
			continue
		}
		if st.advance(m, start, text) && m.run == m.at {
			st.implied = append(st.implied, m.pattern)
		}
	}
	if !begins {
		return
	}
	for _, i := range s.starts[text[0]] {
		if len(st.implied) == 0 || !slices.Contains(st.implied, i) {
			st.advance(match{pattern: i, start: start, width: int8(len(st.held) - start)}, start, text)
		}
	}
}

// breaks reports whether a byte behind taken others goes on with a line break in base64.
func breaks(taken int, b byte, escaped bool) bool {
	switch b {
	case '\r':
		return taken == 0
	case '\n':
		return taken < 2
	case ' ', '\t':
		return taken > 0 && taken < maxBreak && !escaped
	}
	return false
}

// advance adds to the matches of the next byte the longest that m represents and whose pattern
// continues with text, which held[start:] represents, or covers a whole occurrence. It reports
// whether there is one.
func (st *Stream) advance(m match, start int, text []byte) bool {
	s := st.set
	p := &s.patterns[m.pattern]
	width := int8(len(st.held) - start)
	if p.wraps && width > 1 && isAlphanumeric(text[0]) {
		return false
	}
	for !p.continuesAt(m.at, text) {
		var shorter bool
		if m, shorter = s.next(m); !shorter {
			return false
		}
	}
	if m.run == m.at && m.width == width && len(text) == 1 {
		m.run++
	}
	m.at, m.end, m.brk = m.at+int32(len(text)), len(st.held), 0
	if int(m.at) == len(p.text) {
		st.cover(span{m.start, m.end})
		var shorter bool
		if m, shorter = s.next(m); !shorter {
			return true
		}
	}
	st.keep(m)
	return true
}

// continuesAt reports whether text is at a place of a pattern.
func (p *pattern) continuesAt(at int32, text []byte) bool {
	rest := p.text[at:]
	return rest[0] == text[0] && (len(text) == 1 || len(rest) >= len(text) && rest[:len(text)] == string(text))
}

// cover notes that held bytes up to the last one belong to an occurrence.
func (st *Stream) cover(o span) {
	n := &st.newest
	if o.from > n.to {
		*n = span{o.from, o.from}
	}
	for i := o.from; i < n.from; i++ {
		st.covered[i] = true
	}
	for i := n.to; i < o.to; i++ {
		st.covered[i] = true
	}
	*n = span{min(n.from, o.from), o.to}
}

// keep adds a match to those of the next byte. Of equal ones it keeps the longest: the
// others are a part of it. One reading of the text makes no equal ones of different ones.
func (st *Stream) keep(m match) {
	for i := range st.next {
		if st.taken < 2 {
			break
		}
		o := &st.next[i]
		switch {
		case o.pattern != m.pattern || o.at != m.at || o.end != m.end || o.brk != m.brk:
			continue
		case o.start == m.start && o.width == m.width:
			o.run = max(o.run, m.run)
			return
		}
		other := *o // what else they represent may begin at different places
		o.start, o.run = min(o.start, m.start), 0
		for _, m := range []match{other, m} {
			if m, shorter := st.set.next(m); shorter {
				st.keep(m)
			}
		}
		return
	}
	st.next = append(st.next, m)
}

// undecided returns where in held the first byte is that may still become a part of an
// occurrence.
func (st *Stream) undecided() int {
	first := len(st.held)
	for _, m := range st.matches {
		first = min(first, m.start)
	}
	for _, start := range st.escapes {
		first = min(first, start)
	}
	return first
}

// release appends the held bytes in front of decided, and those behind it that are known to
// belong to an occurrence. It forgets those that no match needs any more.
func (st *Stream) release(dst []byte, decided int) []byte {
	if st.newest.to <= st.released && st.released < decided { // nothing of it belongs to one
		dst = append(dst, st.held[st.released:decided]...)
		st.released, st.inMark = decided, false
	}
	for ; st.released < len(st.held) && (st.released < decided || st.covered[st.released]); st.released++ {
		i := st.released
		switch {
		case !st.covered[i]:
			dst = append(dst, st.held[i])
		case !st.inMark:
			dst = append(dst, Mark...)
		}
		st.inMark = st.covered[i]
	}
	// Not each time, for what is left is copied.
	if n := min(st.released, decided); n > 0 && n >= len(st.held)/2 {
		st.forget(n)
	}
	return dst
}

// forget drops the first n of the held bytes.
func (st *Stream) forget(n int) {
	st.held = st.held[:copy(st.held, st.held[n:])]
	st.covered = st.covered[:copy(st.covered, st.covered[n:])]
	st.released -= n
	st.newest = span{max(0, st.newest.from-n), max(0, st.newest.to-n)}
	for i := range st.matches {
		st.matches[i].start -= n
		st.matches[i].end -= n
	}
	for i := range st.escapes {
		st.escapes[i] -= n
	}
}
