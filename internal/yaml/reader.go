// Package yaml reads the part of YAML that definitions and policies are written in: mappings,
// lists, texts and comments, without anchors, aliases and tags. It keeps nothing of the text and
// reads each value when it is asked for, so that no text costs more memory or time than its own
// length: parsers of all of YAML build a tree whose size and depth the author of the text decides.
package yaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mistake is a mistake in a text, at a place.
type Mistake struct {
	Line, Column int // from 1; columns count characters
	Why          string

	final bool // nothing behind it can be read
}

func (m *Mistake) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", m.Line, m.Column, m.Why)
}

// At makes a mistake at a place.
func At(line, column int, format string, args ...any) *Mistake {
	return &Mistake{Line: line, Column: column, Why: fmt.Sprintf(format, args...)}
}

// Value is a value whose text has not been read yet. It is read once, in order.
type Value struct {
	r      *reader
	line   int
	begin  int // of the line
	start  int
	indent int  // of the block that it belongs to, -1 for none
	flow   bool // within braces or brackets
	item   bool // it follows a dash on the same line
}

// Wrong is a mistake at the place of the value.
func (v Value) Wrong(format string, args ...any) *Mistake {
	return At(v.line, utf8.RuneCountInString(v.r.text[v.begin:v.start])+1, format, args...)
}

// Document calls f with the value of the one document that text has to be. of is what the text is,
// for mistakes: "policy". A *Mistake that a callback returns is noted and reading goes on behind
// the value, until there are most of them. The mistakes are in the order of their places.
func Document(text, of string, most int, f func(Value) error) []*Mistake {
	r := &reader{text: strings.TrimPrefix(text, "\ufeff"), of: of, line: 1, most: most}
	err := r.characters()
	if err == nil {
		err = r.document(f)
	}
	var last *Mistake
	if errors.As(err, &last) {
		r.mistakes = append(r.mistakes, last)
	}
	slices.SortStableFunc(r.mistakes, func(a, b *Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	// A value that is wrong and can be read in no form is one mistake.
	return slices.CompactFunc(r.mistakes, func(a, b *Mistake) bool { return a.Line == b.Line && a.Column == b.Column && a.Why == b.Why })
}

// maxDepth is how deep values may be nested.
const maxDepth = 64

// errEnough ends the reading of a text that has as many mistakes as are wanted.
var errEnough = errors.New("enough mistakes")

type reader struct {
	text     string
	of       string
	pos      int
	line     int // from 1
	begin    int // of the line
	depth    int
	most     int
	mistakes []*Mistake
}

// wrong is a mistake at the place that the reader has reached, after which nothing can be read.
func (r *reader) wrong(format string, args ...any) *Mistake {
	m := r.here().Wrong(format, args...)
	m.final = true
	return m
}

// here is the value at the place that the reader has reached.
func (r *reader) here() Value {
	return Value{r: r, line: r.line, begin: r.begin, start: r.pos, indent: -1}
}

// proceed notes a mistake of a value, and skips what was not read of it. Its error ends the reading.
func (r *reader) proceed(v Value, err error) error {
	var m *Mistake
	switch {
	case err == nil:
	case !errors.As(err, &m), m.final:
		return err
	default:
		if err := v.Note(m); err != nil {
			return err
		}
	}
	if r.pos != v.start {
		return nil
	}
	_, err = v.Any()
	return err
}

// Note notes a mistake that is found behind a value, besides the one that a callback may return. A
// callback returns the error, which ends the reading.
func (v Value) Note(m *Mistake) error {
	r := v.r
	if r.mistakes = append(r.mistakes, m); len(r.mistakes) >= r.most {
		return errEnough
	}
	return nil
}

// characters refuses what ends a line for some parsers of YAML and not for others, and what is
// invisible.
func (r *reader) characters() error {
	line, begin := 1, 0
	for i, c := range r.text {
		why := ""
		switch {
		case c == '\n':
			line, begin = line+1, i+1
		case c == '\r' && !strings.HasPrefix(r.text[i+1:], "\n"):
			why = "a carriage return without a line feed: end lines with a line feed"
		case c == utf8.RuneError && !strings.HasPrefix(r.text[i:], "\ufffd"):
			return &Mistake{Line: 1, Column: 1, Why: "this is not text in UTF-8", final: true}
		case c < ' ' && c != '\t' && c != '\r', c >= 0x7f && c <= 0x9f, c == '\u2028', c == '\u2029', c == '\ufeff', c == '\ufffe', c == '\uffff':
			why = fmt.Sprintf("the character %U cannot be read here: write it in double quotes, as an escape", c)
		}
		if why != "" {
			return &Mistake{Line: line, Column: utf8.RuneCountInString(r.text[begin:i]) + 1, Why: why, final: true}
		}
	}
	return nil
}

// peek is the next byte, 0 at the end of the text.
func (r *reader) peek() byte {
	if r.pos < len(r.text) {
		return r.text[r.pos]
	}
	return 0
}

// blank reports whether what is at a place ends a word: a blank, a line's end, the end.
func (r *reader) blank(pos int) bool {
	return pos >= len(r.text) || strings.IndexByte(" \t\r\n", r.text[pos]) >= 0
}

// dash reports whether an item of a list begins here.
func (r *reader) dash() bool { return r.peek() == '-' && r.blank(r.pos+1) }

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
func (r *reader) document(f func(Value) error) error {
	r.skipLines()
	if r.atMark("---") {
		r.pos += len("---")
	}
	root := r.value(-1, false, false)
	if err := r.proceed(root, f(root)); err != nil {
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
			return r.wrong("a %s is one document, and this is a second one", r.of)
		}
		return nil
	}
	return r.wrong("this is not YAML that a %s is written in: a key and a colon are expected here", r.of)
}

// value is what comes next. In a block it is on the same line, or on the next if that is indented
// further; the items of a list that belongs to a key need not be. Else it is empty.
func (r *reader) value(indent int, flow, ofKey bool) Value {
	r.skipBlanks()
	if flow {
		r.skipLines()
	}
	v := r.here()
	v.indent, v.flow = indent, flow
	if r.peek() != '\n' || flow {
		return v
	}
	ahead := *r
	ahead.skipLines()
	if next := ahead.indentHere(); next > indent || ofKey && next == indent && ahead.dash() {
		*r = ahead
		v.line, v.begin, v.start = r.line, r.begin, r.pos
	}
	return v
}

// ownLine reports whether the line has nothing before the place.
func (r *reader) ownLine() bool { return strings.Trim(r.text[r.begin:r.pos], " \t") == "" }

// next goes to the next line of a block that is indented by indent, and reports whether there is
// one. A line that is indented by at most outer belongs to what is around the block.
func (r *reader) next(indent, outer int) (bool, error) {
	if r.skipBlanks(); r.peek() != '\n' && r.peek() != 0 {
		return false, r.wrong("this is not YAML that a %s is written in: the value has ended, and the line goes on", r.of)
	}
	end := *r
	r.skipLines()
	switch next := r.indentHere(); {
	case next == indent && next >= 0:
		return true, nil
	case next <= outer:
		*r = end // what is around this is read from there
		return false, nil
	default:
		return false, r.wrong("this is not YAML: the line is indented by %d, its neighbours by %d", next, indent)
	}
}

// tabbed refuses a tab before the place on its line.
func (r *reader) tabbed() error {
	if tab := strings.IndexByte(r.text[r.begin:r.pos], '\t'); tab >= 0 {
		at := r.here()
		at.start = r.begin + tab
		m := at.Wrong("a tab indents this line: YAML takes spaces only")
		m.final = true
		return m
	}
	return nil
}

// enter counts a mapping or list that begins.
func (r *reader) enter() error {
	if r.depth++; r.depth > maxDepth {
		return r.wrong("values are nested more than %d deep", maxDepth)
	}
	return nil
}
