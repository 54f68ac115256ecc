package redact

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// form is one way to write a character: n bytes, each of which is its low or its high one
// (which differ for hexadecimal digits, that have two cases).
type form struct {
	n         int
	low, high [maxUnit]byte
}

func (f *form) add(low, high byte) {
	f.low[f.n], f.high[f.n] = low, high
	f.n++
}

func (f *form) text(s string) {
	for i := range len(s) {
		f.add(s[i], s[i])
	}
}

// hex adds a number in hexadecimal digits of either case.
func (f *form) hex(n uint64, digits int) {
	const lower, upper = "0123456789abcdef", "0123456789ABCDEF"
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		digit := n >> shift & 15
		f.add(lower[digit], upper[digit])
	}
}

// eachPair visits the pairs that the byte at i can be with the one in front of it.
func (f *form) eachPair(i int, visit func(a, b byte)) {
	visit(f.low[i-1], f.low[i])
	visit(f.low[i-1], f.high[i])
	visit(f.high[i-1], f.low[i])
	visit(f.high[i-1], f.high[i])
}

// character is one of a pattern, or a byte of it.
type character struct {
	r      rune
	isByte bool // as a byte, whatever character it belongs to; of ASCII it is the same
	wraps  bool // in base64; see pattern
}

// eachForm visits the ways to write the byte and the character that begin at i.
func (p pattern) eachForm(i int, visit func(*form)) {
	character{r: rune(p.text[i]), isByte: true, wraps: p.wraps}.eachForm(visit)
	if r, n := utf8.DecodeRuneInString(p.text[i:]); n > 1 {
		character{r: r}.eachForm(visit)
	}
}

// eachForm visits the ways to write a character which unit decodes.
func (c character) eachForm(visit func(*form)) {
	if c.isByte {
		eachByteForm(byte(c.r), c.wraps, visit)
	}
	if !c.isByte || c.r < utf8.RuneSelf && !(c.wraps && isAlphanumeric(byte(c.r))) {
		eachRuneForm(c.r, visit)
	}
}

// write visits a form that is a text with a number in it.
func write(visit func(*form), before string, n uint64, digits int, behind string) {
	var f form
	f.text(before)
	f.hex(n, digits)
	f.text(behind)
	visit(&f)
}

func writeText(visit func(*form), texts ...string) {
	for _, text := range texts {
		var f form
		f.text(text)
		visit(&f)
	}
}

func eachByteForm(b byte, wraps bool, visit func(*form)) {
	var plain form
	plain.add(b, b)
	visit(&plain)
	if b == ' ' {
		writeText(visit, "+")
	}
	if wraps && isAlphanumeric(b) {
		return
	}
	write(visit, "%", uint64(b), 2, "")
	write(visit, `\x`, uint64(b), 2, "")
	writeText(visit, string([]byte{'\\', '0' + b>>6, '0' + b>>3&7, '0' + b&7}))
	if b < ' ' {
		for letter, control := range controls {
			if control == b {
				writeText(visit, string([]byte{'\\', letter}))
			}
		}
	}
	if b >= ' ' && b < 127 && !isAlphanumeric(b) {
		writeText(visit, string([]byte{'\\', b}))
	}
	switch b {
	case '\'':
		writeText(visit, `''`, `'\''`, `'"'"'`)
	case '"':
		writeText(visit, `""`)
	}
}

func eachRuneForm(r rune, visit func(*form)) {
	n, digits := uint64(r), 1
	for n>>(4*digits) != 0 {
		digits++
	}
	write(visit, `\U`, n, 8, "")
	write(visit, `\u{`, n, digits, "}")
	write(visit, "&#x", n, digits, ";")
	write(visit, "&#X", n, digits, ";")
	decimal := strconv.FormatUint(n, 10)
	writeText(visit, "&#"+decimal+";")
	if len(decimal) < 3 {
		writeText(visit, "&#"+"000"[len(decimal):]+decimal+";")
	}
	if n < 0x10000 {
		write(visit, `\u`, n, 4, "")
	} else {
		high, low := utf16.EncodeRune(r)
		var f form
		f.text(`\u`)
		f.hex(uint64(high), 4)
		f.text(`\u`)
		f.hex(uint64(low), 4)
		visit(&f)
	}
	if n >= utf8.RuneSelf && n < 0x100 {
		write(visit, `\x`, n, 2, "")
	}
	if n < utf8.RuneSelf {
		for name, text := range entities {
			if text == string(r) {
				writeText(visit, "&"+name)
			}
		}
	}
}
