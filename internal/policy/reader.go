package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"stint.dev/stint/job"
)

// reader reads the part of YAML that a policy is written in: mappings, in blocks or in
// braces, whose values are words on one line, plain or in quotes, and comments. It keeps
// nothing of the text and asks for each key whether it is known before it reads on, so that
// no text costs more memory or time than its own length: parsers of all of YAML build a tree
// whose size and depth the author of the text decides.
type reader struct {
	text  string
	pos   int
	line  int // from 1
	begin int // of the line
}

// node is a value whose text has not been read yet. It is read once, in order.
type node struct {
	r            *reader
	line, column int
	indent       int // of the block that it belongs to, -1 for none
	braces       bool
}

func newReader(text string) *reader {
	return &reader{text: strings.TrimPrefix(text, "\ufeff"), line: 1}
}

// at is a mistake at the place of a value.
func at(n node, format string, args ...any) *Error {
	return &Error{n.line, n.column, fmt.Sprintf(format, args...)}
}

// wrong is a mistake at the place that the reader has reached.
func (r *reader) wrong(format string, args ...any) *Error {
	return &Error{r.line, r.column(), fmt.Sprintf(format, args...)}
}

func (r *reader) column() int { return utf8.RuneCountInString(r.text[r.begin:r.pos]) + 1 }

// peek is the next byte, 0 at the end of the text.
func (r *reader) peek() byte {
	if r.pos < len(r.text) {
		return r.text[r.pos]
	}
	return 0
}

// loneReturn refuses a carriage return within a line: it ends the line for parsers of all of YAML,
// and is invisible.
func (r *reader) loneReturn() error {
	line, begin := 1, 0
	for i := range len(r.text) {
		switch {
		case r.text[i] == '\n':
			line, begin = line+1, i+1
		case r.text[i] == '\r' && !strings.HasPrefix(r.text[i+1:], "\n"):
			return &Error{line, utf8.RuneCountInString(r.text[begin:i]) + 1, "a carriage return without a line feed: end lines with a line feed"}
		}
	}
	return nil
}

// blank reports whether what comes at a place ends a word: a blank, a line's end, the end.
func (r *reader) blank(pos int) bool {
	return pos >= len(r.text) || strings.IndexByte(" \t\r\n", r.text[pos]) >= 0
}

// skipBlanks goes to the next word of the line, its comment's end or its end.
func (r *reader) skipBlanks() {
	for r.pos < len(r.text) && strings.IndexByte(" \t\r", r.text[r.pos]) >= 0 {
		r.pos++
	}
	if r.peek() == '#' && (r.pos == r.begin || r.blank(r.pos-1)) {
		if end := strings.IndexByte(r.text[r.pos:], '\n'); end >= 0 {
			r.pos += end
		} else {
			r.pos = len(r.text)
		}
	}
}

// skipLines goes to the next word, over ends of lines.
func (r *reader) skipLines() {
	for r.skipBlanks(); r.peek() == '\n'; r.skipBlanks() {
		r.pos++
		r.line, r.begin = r.line+1, r.pos
	}
}

// atMark reports whether the reader is at the line that begins or ends a document.
func (r *reader) atMark(mark string) bool {
	return r.pos == r.begin && strings.HasPrefix(r.text[r.pos:], mark) && r.blank(r.pos+len(mark))
}

// indentHere is the column of the next word, from 0; -1 at the end of the document.
func (r *reader) indentHere() int {
	if r.pos >= len(r.text) || r.atMark("---") || r.atMark("...") {
		return -1
	}
	return r.pos - r.begin
}

// document calls f with the value of the one document.
func (r *reader) document(f func(node) error) error {
	r.skipLines()
	if r.atMark("---") {
		r.pos += len("---")
	}
	if err := f(r.value(-1, false)); err != nil {
		return err
	}
	r.skipLines()
	if r.atMark("...") {
		r.pos += len("...")
		r.skipLines()
	}
	switch {
	case r.pos >= len(r.text):
		return nil
	case r.atMark("---"):
		r.pos += len("---")
		if r.skipLines(); r.pos < len(r.text) {
			return r.wrong("a policy is one document, and this is a second one")
		}
		return nil
	}
	return r.wrong("this is not YAML that a policy is written in: a key and a colon are expected here")
}

// value is what comes next. Of a block it is on the same line, or on the next if that is
// indented further; else it is empty.
func (r *reader) value(indent int, braces bool) node {
	r.skipBlanks()
	if braces {
		r.skipLines()
	}
	n := node{r: r, line: r.line, column: r.column(), indent: indent, braces: braces}
	if r.peek() != '\n' || braces {
		return n
	}
	ahead := *r
	if ahead.skipLines(); ahead.indentHere() > indent {
		*r = ahead
		n.line, n.column = r.line, r.column()
	}
	return n
}

// empty reports whether a value is left out, or written as null.
func (n node) empty() bool {
	switch n.r.peek() {
	case 0, '\n', ',', '}':
		return true
	}
	if n.r.atMark("---") || n.r.atMark("...") {
		return true
	}
	for _, null := range []string{"~", "null"} {
		if rest, ok := strings.CutPrefix(n.r.text[n.r.pos:], null); ok && (n.r.blank(n.r.pos+len(null)) || n.braces && strings.IndexByte(",}", rest[0]) >= 0) {
			n.r.pos += len(null)
			return true
		}
	}
	return false
}

// eachKey calls f for every key of a mapping, which must be one of known, and given once. f
// reads the value.
func eachKey(n node, of string, known []string, f func(key string, value node) error) error {
	if n.empty() {
		return nil
	}
	m := mapping{r: n.r, of: of, known: known, given: make([]bool, len(known)), f: f}
	switch {
	case n.r.peek() == '{':
		return m.braces()
	case n.braces || n.line == n.r.line && n.indent >= 0 && n.r.sameLine(n):
		return at(n, "%s must be a list of keys and values: %s", of, strings.Join(known, ", "))
	}
	return m.block(n)
}

// sameLine reports whether a value of a block is on the line of its key.
func (r *reader) sameLine(n node) bool {
	return strings.Trim(r.text[r.begin:r.pos], " \t") != ""
}

// mapping is a mapping that is being read.
type mapping struct {
	r     *reader
	of    string
	known []string
	given []bool
	f     func(key string, value node) error
}

// block reads a mapping whose keys begin lines.
func (m *mapping) block(n node) error {
	r, indent := m.r, m.r.indentHere()
	for {
		if err := m.pair(indent, false); err != nil {
			return err
		}
		if r.skipBlanks(); r.peek() != '\n' && r.peek() != 0 {
			return r.wrong("this is not YAML that a policy is written in: the value has ended, and the line goes on")
		}
		end := *r
		r.skipLines()
		switch next := r.indentHere(); {
		case next == indent:
		case next <= n.indent:
			*r = end // the mapping around this one is read from there
			return nil
		default:
			return r.wrong("this is not YAML: the line is indented by %d, its neighbours by %d", next, indent)
		}
	}
}

// braces reads a mapping in braces, which may go over several lines.
func (m *mapping) braces() error {
	r := m.r
	r.pos++
	for {
		switch r.skipLines(); r.peek() {
		case '}':
			r.pos++
			return nil
		case 0:
			return r.wrong("this is not YAML: a closing brace is missing")
		}
		if err := m.pair(-1, true); err != nil {
			return err
		}
		r.skipLines()
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
		default:
			return r.wrong("this is not YAML: a comma or a closing brace is expected here")
		}
	}
}

// pair reads a key and has its value read.
func (m *mapping) pair(indent int, braces bool) error {
	r := m.r
	place := node{r: r, line: r.line, column: r.column(), braces: braces}
	if tab := strings.IndexByte(r.text[r.begin:r.pos], '\t'); tab >= 0 && !braces {
		return &Error{r.line, tab + 1, "a tab indents this line: YAML takes spaces only"}
	}
	if c := r.peek(); c == '[' || c == '-' && r.blank(r.pos+1) {
		return at(place, "%s must be a list of keys and values: %s", m.of, strings.Join(m.known, ", "))
	}
	key, err := word(place)
	if err != nil {
		return err
	}
	if r.skipBlanks(); r.peek() != ':' || !r.blank(r.pos+1) && !braces {
		return at(place, "this is not YAML: %s must be a key with a colon and a blank behind it", job.Quote(key))
	}
	i := slices.Index(m.known, key)
	switch {
	case i < 0:
		return at(place, "%s is not known in %s: there is %s", job.Quote(key), m.of, strings.Join(m.known, ", "))
	case m.given[i]:
		return at(place, "%s is already defined", job.Quote(key))
	}
	m.given[i] = true
	r.pos++
	v := r.value(indent, braces)
	return m.f(key, v)
}

// word reads a plain or quoted value. Lists, nested values, anchors, aliases, tags and texts of
// several lines are none.
func word(n node) (string, error) {
	r := n.r
	switch c := r.peek(); c {
	case '"', '\'':
		return quoted(n, c)
	case 0, '\n', '{', '}', '[', ']', ',', '&', '*', '!', '|', '>', '%', '@', '`':
		return "", at(n, "here must be one plain value")
	case '-', '?', ':':
		if r.blank(r.pos + 1) {
			return "", at(n, "here must be one plain value")
		}
	}
	start := r.pos
	for ; r.pos < len(r.text); r.pos++ {
		switch c := r.text[r.pos]; {
		case c == '\n',
			c == ':' && (r.blank(r.pos+1) || n.braces && strings.IndexByte(",}", r.text[r.pos+1]) >= 0),
			c == '#' && r.blank(r.pos-1),
			n.braces && strings.IndexByte(",{}[]", c) >= 0:
			return strings.TrimRight(r.text[start:r.pos], " \t\r"), nil
		}
	}
	return strings.TrimRight(r.text[start:], " \t\r"), nil
}

// quoted reads a value in quotes: no key and no value of a policy needs an escape.
func quoted(n node, quote byte) (string, error) {
	r := n.r
	end := strings.IndexAny(r.text[r.pos+1:], string(quote)+"\\\n")
	if end < 0 || r.text[r.pos+1+end] != quote {
		return "", at(n, "this is not YAML that a policy is written in: the quotes must close on the same line, without escapes")
	}
	text := r.text[r.pos+1 : r.pos+1+end]
	r.pos += end + 2
	return text, nil
}
