package console

import (
	"io"
	"unicode/utf8"

	"golang.org/x/term"
)

// ColourFilter writes text from outside to a terminal: of control sequences only colours
// and other attributes of text (SGR) pass, of control characters only newline, carriage
// return and tab. All else is dropped, because it could set the clipboard or a title, answer
// for the person, or hide what was printed before. Bytes that are not UTF-8 become U+FFFD.
type ColourFilter struct {
	w       io.Writer
	state   filterState
	seq     []byte // of a sequence that may be SGR
	pending []byte // the beginning of a character
	out     []byte
	painted bool // a sequence passed
}

// filterState says in what of a control sequence the next character is.
type filterState int

const (
	plainText     filterState = iota
	afterEscape               // ESC
	afterMiddle               // ESC and intermediate bytes
	inSGR                     // CSI, and what an SGR sequence may have
	inOther                   // CSI, of another kind
	inString                  // OSC, DCS, SOS, PM, APC
	stringEscaped             // ESC in one of these
)

// maxSGR bounds what is held back of a sequence; none that means something is as long.
const maxSGR = 128

const (
	charBEL = 0x07
	charCAN = 0x18
	charSUB = 0x1a
	charESC = 0x1b
	charST  = 0x9c
)

// NewColourFilter makes a filter before w.
func NewColourFilter(w io.Writer) *ColourFilter { return &ColourFilter{w: w} }

// LogWriter returns a writer for text from outside that is shown as it is: stdout, byte for byte,
// and through a ColourFilter if it is a terminal, unless raw. The caller closes it.
func (c *Console) LogWriter(raw bool) io.WriteCloser {
	if raw || !term.IsTerminal(int(c.Out.Fd())) {
		return unclosed{c.Out}
	}
	return NewColourFilter(c.Out)
}

// unclosed is a writer that the caller closes.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// Write implements io.Writer. Sequences and characters may be cut anywhere between writes.
func (f *ColourFilter) Write(p []byte) (int, error) {
	src := append(f.pending, p...)
	f.out = f.out[:0]
	for len(src) > 0 && utf8.FullRune(src) {
		r, size := utf8.DecodeRune(src)
		if r == utf8.RuneError && size == 1 {
			f.take(r, []byte("\uFFFD"))
		} else {
			f.take(r, src[:size])
		}
		src = src[size:]
	}
	f.pending = append(f.pending[:0:0], src...)
	if _, err := f.w.Write(f.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends the text, and the colours that it left on. It does not close w.
func (f *ColourFilter) Close() error {
	end := ""
	if len(f.pending) > 0 && f.state == plainText {
		end = "\uFFFD"
	}
	if f.painted {
		end += "\x1b[0m"
	}
	f.pending, f.painted = nil, false
	_, err := io.WriteString(f.w, end)
	return err
}

// take looks at one character; encoded is its UTF-8 form.
func (f *ColourFilter) take(r rune, encoded []byte) {
	switch {
	case r == '\n', r == charCAN, r == charSUB: // nothing goes on beyond these
		f.state = plainText
		if r == '\n' {
			f.out = append(f.out, '\n')
		}
		return
	case f.state == inString:
		f.inString(r)
		return
	case f.state == stringEscaped && r == '\\':
		f.state = plainText
		return
	case r == charESC:
		f.state, f.seq = afterEscape, append(f.seq[:0], charESC)
		return
	case 0x80 <= r && r <= 0x9f:
		f.begin(r - 0x40) // a C1 control is ESC and this character in one
		if f.state == inSGR {
			f.state = inOther // in the long form only
		}
		return
	}
	switch f.state {
	case plainText:
		if r == '\r' || r == '\t' || r >= ' ' && r != 0x7f {
			f.out = append(f.out, encoded...)
		}
	case afterEscape, stringEscaped:
		f.begin(r)
	case afterMiddle:
		if r < ' ' || r > '/' {
			f.state = plainText
		}
	case inSGR, inOther:
		f.inCSI(r, encoded)
	}
}

// begin looks at the character after ESC.
func (f *ColourFilter) begin(r rune) {
	switch {
	case r == '[':
		f.state, f.seq = inSGR, append(f.seq[:0], "\x1b["...)
	case r == ']', r == 'P', r == 'X', r == '^', r == '_':
		f.state = inString
	case ' ' <= r && r <= '/':
		f.state = afterMiddle
	default:
		f.state = plainText
	}
}

// inCSI looks at a character of a control sequence.
func (f *ColourFilter) inCSI(r rune, encoded []byte) {
	switch {
	case f.state == inSGR && (r >= '0' && r <= ';') && len(f.seq) < maxSGR:
		f.seq = append(f.seq, byte(r))
	case f.state == inSGR && r == 'm':
		f.out, f.state, f.painted = append(append(f.out, f.seq...), 'm'), plainText, true
	case r < ' ': // terminals act on it inside of a sequence; it is dropped as anywhere
	case r < '@':
		f.state = inOther
	case r <= 0x7e:
		f.state = plainText
	default: // no sequence has it
		f.state = plainText
		if r != 0x7f {
			f.out = append(f.out, encoded...)
		}
	}
}

// inString looks at a character of a control string.
func (f *ColourFilter) inString(r rune) {
	switch r {
	case charBEL, charST:
		f.state = plainText
	case charESC:
		f.state = stringEscaped
	}
}
