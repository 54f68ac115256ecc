package redact

import (
	"math/bits"
	"unicode/utf8"
)

// filter finds the places where an occurrence may begin, without looking at most bytes.
type filter struct {
	least int       // length of the shortest occurrence
	begin pairs     // the first two bytes of an occurrence
	ones  [256]bool // the first byte of an occurrence
	front pairs     // two neighbours among the first least bytes of an occurrence
}

// pairs is a set of two bytes that follow each other, one bit each.
type pairs [1024]uint64

func (p *pairs) add(a, b byte) {
	bit := uint(a)<<8 | uint(b)
	p[bit/64] |= 1 << (bit % 64)
}

func (p *pairs) has(a, b byte) bool {
	bit := uint(a)<<8 | uint(b)
	return p[bit/64]&(1<<(bit%64)) != 0
}

// skip returns how many of the first bytes of b cannot begin an occurrence. The last byte is
// judged alone: its neighbour is not known yet.
//
// An occurrence that begins anywhere in the least-1 bytes from i on has the two bytes at the
// end of these among its first ones: one comparison clears all these places at once. If
// they are in the set, so must be all pairs from the beginning of the occurrence to them.
func (f *filter) skip(b []byte) int {
	i := 0
	for f.least > 1 && i+f.least <= len(b) {
		end := i + f.least - 1
		from := end
		for from > i && f.front.has(b[from-1], b[from]) {
			from--
		}
		for i = from; i < end; i++ {
			if f.begin.has(b[i], b[i+1]) {
				return i
			}
		}
	}
	for ; i < len(b); i++ {
		if i+1 == len(b) && f.ones[b[i]] || i+1 < len(b) && f.begin.has(b[i], b[i+1]) {
			return i
		}
	}
	return len(b)
}

func (f *filter) build(patterns []pattern) {
	f.least = len(patterns[0].text)
	for _, p := range patterns {
		f.least = min(f.least, len(p.text))
	}
	b := builder{f: f, ofRune: map[rune]ends{}}
	for _, p := range patterns {
		b.add(p)
	}
}

// builder adds the pairs of patterns to a filter. It runs before a job starts, so that it
// does what it can once for each character and not for each occurrence of it.
type builder struct {
	f      *filter
	ofByte [2][256]ends // with and without escapes; of no byte yet where first is empty
	ofRune map[rune]ends
	brk    *ends // of a line break; nil before the first
}

// ends are the bytes with which the forms of a character begin and end; plain are those of the
// forms of one byte.
type ends struct{ first, last, plain byteSet }

// add adds the pairs of a pattern's first bytes.
func (b *builder) add(p pattern) {
	f := b.f
	var before ends
	for i := 0; i < len(p.text) && i < max(f.least, 2); i++ {
		now := b.endsAt(p, i)
		f.front.addAll(before.last, now.first)
		switch i {
		case 0:
			p.eachForm(0, f.addBegin)
		case 1:
			f.begin.addAll(before.plain, now.first)
		}
		if before = now; p.wraps && i < len(p.text)-1 {
			brk := b.lineBreak()
			f.front.addAll(now.last, brk.first)
			if i == 0 {
				f.begin.addAll(now.plain, brk.first)
			}
			before.last.addAll(brk.last)
		}
	}
	if len(p.text) == 1 { // what follows is any byte
		f.begin.addAll(before.plain, anyByte)
	}
}

// endsAt returns the ends of the forms of a byte, and of the character that begins or ends with it.
func (b *builder) endsAt(p pattern, i int) ends {
	e := *b.endsOfByte(p.text[i], p.wraps)
	if p.text[i] < utf8.RuneSelf {
		return e
	}
	if r, n := utf8.DecodeRuneInString(p.text[i:]); n > 1 {
		e.first.addAll(b.endsOfRune(r).first)
	}
	if r, n := utf8.DecodeLastRuneInString(p.text[:i+1]); n > 1 {
		e.last.addAll(b.endsOfRune(r).last)
	}
	return e
}

// endsOfByte returns the ends of a byte's forms, whose inner pairs it adds the first time.
func (b *builder) endsOfByte(c byte, wraps bool) *ends {
	e := &b.ofByte[0][c]
	if wraps {
		e = &b.ofByte[1][c]
	}
	if e.first == (byteSet{}) {
		*e = b.newEnds(character{r: rune(c), isByte: true, wraps: wraps})
	}
	return e
}

func (b *builder) endsOfRune(r rune) ends {
	e, ok := b.ofRune[r]
	if !ok {
		e = b.newEnds(character{r: r})
		b.ofRune[r] = e
	}
	return e
}

func (b *builder) newEnds(c character) ends {
	var e ends
	c.eachForm(func(f *form) {
		for i := 1; i < f.n; i++ {
			f.eachPair(i, b.f.front.add)
		}
		e.first.add(f.low[0])
		e.last.add(f.low[f.n-1])
		e.last.add(f.high[f.n-1])
		if f.n == 1 {
			e.plain.add(f.low[0])
		}
	})
	return e
}

// lineBreak returns the ends of a line break in base64, and of the blanks behind it.
func (b *builder) lineBreak() ends {
	if b.brk == nil {
		e, lf := *b.endsOfByte('\r', false), b.endsOfByte('\n', false)
		e.first.addAll(lf.first)
		e.last.addAll(lf.last)
		var blanks byteSet
		blanks.add(' ')
		blanks.add('\t')
		e.last.addAll(blanks)
		b.f.front.addAll(e.last, blanks)
		b.f.front.addAll(e.last, e.first)
		b.brk = &e
	}
	return *b.brk
}

// addBegin adds the beginning of a form with which an occurrence begins.
func (f *filter) addBegin(form *form) {
	f.ones[form.low[0]] = true
	if form.n > 1 {
		form.eachPair(1, f.begin.add)
	}
}

// byteSet is a set of bytes, one bit each.
type byteSet [4]uint64

var anyByte = byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func (s *byteSet) add(b byte) { s[b/64] |= 1 << (b % 64) }

func (s *byteSet) addAll(o byteSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// addAll adds each of as in front of each of bs.
func (p *pairs) addAll(as, bs byteSet) {
	for i, word := range as {
		for ; word != 0; word &= word - 1 {
			row := p[(64*i+bits.TrailingZeros64(word))*4:]
			for j := range bs {
				row[j] |= bs[j]
			}
		}
	}
}
