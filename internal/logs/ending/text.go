package ending

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Screen returns the text that a terminal shows after it has received the bytes of one line:
// the text after the last carriage return, without escape sequences, erased text, and
// invisible characters. It decodes UTF-16. The result is UTF-8 whose only control
// characters are tabs.
func Screen(line []byte) string {
	if text, ok := decodeUTF16(line); ok {
		line = text
	}
	s := screen{rest: string(line)}
	for s.rest != "" {
		r, n := utf8.DecodeRuneInString(s.rest)
		s.rest = s.rest[n:]
		s.print(r)
	}
	return string(s.shown)
}

// screen is one line of a terminal.
type screen struct {
	shown []rune
	// atStart is set if the cursor is in the first column; the next character then replaces the text.
	atStart bool
	rest    string
}

func (s *screen) print(r rune) {
	switch {
	case r >= ' ' && r <= '~':
	case r == '\r':
		s.atStart = true
		return
	case r == '\b':
		s.shown = s.shown[:max(0, len(s.shown)-1)]
		return
	case r == 0x1b:
		s.escape()
		return
	case r == 0x9b:
		s.control()
		return
	case r == '\t':
	case unicode.Is(unicode.Z, r):
		r = ' '
	case r == utf8.RuneError:
	case !unicode.IsGraphic(r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
		return // fillers and selectors belong to graphic categories but are invisible
	}
	if s.atStart {
		s.shown, s.atStart = s.shown[:0], false
	}
	s.shown = append(s.shown, r)
}

// escape skips or applies the sequence after an escape character.
func (s *screen) escape() {
	if s.rest == "" || s.rest[0] >= utf8.RuneSelf {
		return
	}
	kind := s.rest[0]
	s.rest = s.rest[1:]
	switch {
	case kind == '[':
		s.control()
	case strings.IndexByte("]P^_X", kind) >= 0: // a string, up to BEL or ESC \
		end := strings.IndexAny(s.rest, "\a\x1b")
		if end < 0 {
			s.rest = ""
			return
		}
		bell := s.rest[end] == '\a'
		s.rest = s.rest[end+1:]
		if !bell {
			s.rest = strings.TrimPrefix(s.rest, `\`)
		}
	case kind >= ' ' && kind <= '/': // a character set: one more byte
		s.rest = s.rest[min(1, len(s.rest)):]
	}
}

// control skips or applies a control sequence: parameters and a final letter.
func (s *screen) control() {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return r < ' ' || r > '?' })
	if end < 0 {
		s.rest = ""
		return
	}
	parameter := s.rest[:end]
	letter := s.rest[end]
	if letter < '@' || letter > '~' {
		s.rest = s.rest[end:] // truncated sequence: the character is not part of it
		return
	}
	s.rest = s.rest[end+1:]
	n, err := strconv.Atoi(parameter)
	switch letter {
	case 'K', 'J': // erase to the end, or from the beginning
		if s.atStart || err == nil && n > 0 {
			s.shown = s.shown[:0]
		}
	case 'G': // move to a column
		s.atStart = s.atStart || err != nil || n <= 1
	case 'A', 'F', 'H', 'f': // move to another line
		s.atStart = true
	case 'D': // move back
		back := max(1, n) // also if the parameter is not a number or is negative
		if s.atStart = s.atStart || back >= len(s.shown); !s.atStart {
			s.shown = s.shown[:len(s.shown)-back]
		}
	}
}

// decodeUTF16 converts a line from UTF-16 to UTF-8. It detects UTF-16 by a byte order mark or by
// the zero bytes of Latin letters. Lines are split at the byte of the newline, so that the other
// byte of the newline is at the beginning or the end.
func decodeUTF16(line []byte) ([]byte, bool) {
	const bigEndianMark, littleEndianMark = "\xfe\xff", "\xff\xfe"
	var order binary.ByteOrder
	switch {
	case strings.HasPrefix(string(line), littleEndianMark):
		order, line = binary.LittleEndian, line[2:]
	case strings.HasPrefix(string(line), bigEndianMark):
		order, line = binary.BigEndian, line[2:]
	default:
		if order = utf16Order(line); order == nil {
			return nil, false
		}
		if order == binary.LittleEndian && line[0] == 0 {
			line = line[1:]
		}
	}
	units := make([]uint16, len(line)/2)
	for i := range units {
		units[i] = order.Uint16(line[2*i:])
	}
	return []byte(string(utf16.Decode(units))), true
}

// utf16Order returns the byte order of a line that is probably UTF-16, and nil for other lines.
func utf16Order(line []byte) binary.ByteOrder {
	var zeros [2]int // at even and at odd offsets
	for i, b := range line {
		if b == 0 {
			zeros[i%2]++
		}
	}
	often, seldom := max(zeros[0], zeros[1]), min(zeros[0], zeros[1])
	if len(line) < 4 || often < len(line)/3 || seldom > len(line)/20+1 {
		return nil
	}
	// A line after the first one begins with the second byte of the newline before it, so that in
	// the usual little-endian order the zeros are at even offsets of an odd number of bytes.
	if zeros[1] > zeros[0] || len(line)%2 == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}
