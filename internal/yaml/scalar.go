package yaml

import (
	"strings"
)

const noPlainValue = "here must be one plain value; lists, anchors, aliases and tags are none"

// Text reads a text: plain, in quotes, or over several lines behind | or >. It is as it was
// written: a number or a date is no other kind of value.
func (v Value) Text() (string, error) {
	r := v.r
	if c := r.peek(); !v.flow && (c == '|' || c == '>') {
		return v.block()
	}
	text, err := v.word()
	if err != nil || v.flow || strings.IndexByte(`"'`, r.text[v.start]) >= 0 {
		return text, err
	}
	return v.moreLines(text)
}

// word reads a plain or quoted text on one line.
func (v Value) word() (string, error) {
	r := v.r
	switch c := r.peek(); c {
	case '"':
		return v.doubleQuoted()
	case '\'':
		return v.singleQuoted()
	case 0, '\n', '{', '}', '[', ']', ',', '&', '*', '!', '|', '>', '%', '@', '`', '#':
		return "", v.Wrong(noPlainValue)
	case '-', '?', ':':
		if r.blank(r.pos+1) || v.flow && c != '-' {
			return "", v.Wrong(noPlainValue)
		}
	}
	return r.plain(v.flow), nil
}

// plain reads a plain text to the end of the line, a comment, a colon with a blank behind it, or
// what ends a value in braces.
func (r *reader) plain(flow bool) string {
	start := r.pos
	for ; r.pos < len(r.text); r.pos++ {
		c := r.text[r.pos]
		if c == '\n' ||
			c == ':' && (r.blank(r.pos+1) || flow && strings.IndexByte(",{}[]", r.text[r.pos+1]) >= 0) ||
			c == '#' && r.pos > start && r.blank(r.pos-1) ||
			flow && strings.IndexByte(",{}[]", c) >= 0 {
			break
		}
	}
	return strings.TrimRight(r.text[start:r.pos], " \t\r")
}

// moreLines reads the lines on which a plain text goes on: they are indented further than the
// block, and folded to one.
func (v Value) moreLines(text string) (string, error) {
	r := v.r
	var all strings.Builder
	all.WriteString(text)
	for r.peek() == '\n' {
		ahead := *r
		breaks := 0
		for ahead.peek() == '\n' {
			ahead.pos++
			ahead.line, ahead.begin = ahead.line+1, ahead.pos
			for ahead.pos < len(ahead.text) && strings.IndexByte(" \t\r", ahead.text[ahead.pos]) >= 0 {
				ahead.pos++
			}
			breaks++
		}
		if ahead.peek() == '#' || ahead.indentHere() <= v.indent {
			break
		}
		if err := ahead.tabbed(); err != nil {
			return "", err
		}
		more := ahead.plain(false)
		if ahead.peek() == ':' {
			return "", ahead.wrong("this is not YAML: a text goes on here, and a key with a colon cannot be in it; put the text in quotes")
		}
		if breaks == 1 {
			all.WriteByte(' ')
		} else {
			all.WriteString(strings.Repeat("\n", breaks-1))
		}
		all.WriteString(more)
		*r = ahead
	}
	return all.String(), nil
}

// unclosed is a text in quotes that do not close.
func (v Value) unclosed() error {
	m := v.Wrong("this is not YAML that a %s is written in: the quotes must close on the same line; write texts of several lines with |", v.r.of)
	m.final = true
	return m
}

// singleQuoted reads a text in which only the quote is doubled.
func (v Value) singleQuoted() (string, error) {
	r := v.r
	for end := r.pos + 1; end < len(r.text) && r.text[end] != '\n'; end++ {
		if r.text[end] != '\'' {
			continue
		}
		if strings.HasPrefix(r.text[end+1:], "'") {
			end++
			continue
		}
		text := r.text[r.pos+1 : end]
		r.pos = end + 1
		return strings.ReplaceAll(text, "''", "'"), nil
	}
	return "", v.unclosed()
}

// doubleQuoted reads a text with escapes.
func (v Value) doubleQuoted() (string, error) {
	r := v.r
	var all strings.Builder
	for from := r.pos + 1; ; {
		n := strings.IndexAny(r.text[from:], "\"\\\n")
		if n < 0 || r.text[from+n] == '\n' {
			return "", v.unclosed()
		}
		all.WriteString(r.text[from : from+n])
		if from += n; r.text[from] == '"' {
			r.pos = from + 1
			return all.String(), nil
		}
		c, length := escape(r.text[from+1:])
		if length == 0 {
			at := v
			at.start = from
			m := at.Wrong("this escape is not known: write a backslash itself as \\\\")
			m.final = true
			return "", m
		}
		all.WriteRune(c)
		from += 1 + length
	}
}

// escape reads what follows a backslash; its length is 0 for what is not known.
func escape(text string) (c rune, length int) {
	if text == "" {
		return 0, 0
	}
	if i := strings.IndexByte("xuU", text[0]); i >= 0 {
		return hexadecimal(text, 2<<i)
	}
	i := strings.IndexByte("0abtnvfre \"/\\N_LP\t", text[0])
	if i < 0 {
		return 0, 0
	}
	return []rune("\x00\a\b\t\n\v\f\r\x1b \"/\\\u0085\u00a0\u2028\u2029\t")[i], 1
}

// hexadecimal reads a character by its number. Halves of one are none.
func hexadecimal(text string, digits int) (rune, int) {
	if len(text) <= digits {
		return 0, 0
	}
	var c uint64
	for _, d := range []byte(text[1 : 1+digits]) {
		i := strings.IndexByte("0123456789abcdef0123456789ABCDEF", d)
		if i < 0 {
			return 0, 0
		}
		c = c<<4 | uint64(i%16)
	}
	if c > 0x10ffff || c >= 0xd800 && c < 0xe000 {
		return 0, 0
	}
	return rune(c), 1 + digits //nolint:gosec // at most 0x10ffff
}

// block reads a text over several lines: | keeps their ends, > folds them.
func (v Value) block() (string, error) {
	r := v.r
	folds := r.peek() == '>'
	chomp, indent, err := v.blockHeader()
	if err != nil {
		return "", err
	}
	lines, err := v.blockLines(indent)
	if err != nil {
		return "", err
	}
	trailing := 0
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines, trailing = lines[:len(lines)-1], trailing+1
	}
	var all strings.Builder
	if folds {
		fold(&all, lines)
	} else {
		all.WriteString(strings.Join(lines, "\n"))
	}
	ended := len(lines) > 0 && r.peek() == '\n' // not so at the end of the text
	switch {
	case chomp == '+' && ended:
		trailing++
		fallthrough
	case chomp == '+':
		all.WriteString(strings.Repeat("\n", trailing))
	case chomp == 0 && ended:
		all.WriteByte('\n')
	}
	return all.String(), nil
}

// blockHeader reads what follows | or >: what happens to the last ends of lines ('+' keeps,
// '-' drops all), and the indentation of the lines, 0 for that of the first.
func (v Value) blockHeader() (chomp byte, indent int, err error) {
	r := v.r
	at := *r
	for at.pos++; ; at.pos++ {
		switch c := at.peek(); {
		case (c == '+' || c == '-') && chomp == 0:
			chomp = c
		case c >= '1' && c <= '9' && indent == 0:
			indent = max(v.indent, 0) + int(c-'0')
		case at.blank(at.pos):
			if at.skipBlanks(); at.peek() != '\n' && at.peek() != 0 {
				return 0, 0, at.wrong("this is not YAML: the text begins on the next line")
			}
			*r = at
			return chomp, indent, nil
		default:
			return 0, 0, at.wrong("this is not YAML: behind | or > may be + or -, and one digit for the indentation")
		}
	}
}

// blockLines returns the lines of the text without their indentation, empty ones too, and goes to
// the end of the last that is not.
func (v Value) blockLines(indent int) (lines []string, err error) {
	r := v.r
	longest := 0 // of blank lines before the first
	at := *r
	for at.peek() == '\n' {
		at.pos++
		at.line, at.begin = at.line+1, at.pos
		end := len(at.text)
		if n := strings.IndexByte(at.text[at.pos:], '\n'); n >= 0 {
			end = at.pos + n
		}
		line := strings.TrimSuffix(at.text[at.pos:end], "\r")
		spaces := len(line) - len(strings.TrimLeft(line, " "))
		if spaces == len(line) && (indent == 0 || spaces <= indent) {
			longest = max(longest, spaces)
			if end < len(at.text) { // the end of the text is no line
				lines = append(lines, "")
			}
			at.pos = end
			continue
		}
		if indent == 0 {
			if at.pos += spaces; line[spaces] == '\t' {
				return nil, at.tabbedLine()
			}
			indent = max(spaces, v.indent+1, 1)
			if spaces >= indent && longest > spaces {
				return nil, at.wrong("this is not YAML: a blank line above is indented further than the first line of the text")
			}
		}
		if spaces < indent {
			break
		}
		lines = append(lines, line[indent:])
		at.pos = end
		*r = at
	}
	return lines, nil
}

func (r *reader) tabbedLine() error {
	return r.wrong("a tab indents this line: YAML takes spaces only")
}

// fold joins lines: one end of line between two is a blank, and one of several is left out. Those
// of lines that are indented further stay.
func fold(all *strings.Builder, lines []string) {
	breaks, deeper := 0, false // since the last line that is not empty; it is indented further
	first := true
	for _, line := range lines {
		if line == "" {
			breaks++
			continue
		}
		now := line[0] == ' ' || line[0] == '\t'
		switch {
		case first:
			all.WriteString(strings.Repeat("\n", breaks))
		case deeper || now:
			all.WriteString(strings.Repeat("\n", breaks+1))
		case breaks == 0:
			all.WriteByte(' ')
		default:
			all.WriteString(strings.Repeat("\n", breaks))
		}
		all.WriteString(line)
		breaks, deeper, first = 0, now, false
	}
}
