package logs

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"stint.dev/stint/job"
)

// textSink writes the bytes of lines. It does not write gaps: the text is exactly what the job printed.
type textSink struct{ w io.Writer }

func (s textSink) Piece(_ *Line, data []byte) error {
	_, err := s.w.Write(data)
	return err
}
func (s textSink) End(*Line) error                 { return nil }
func (s textSink) Late(l *Line, data []byte) error { return s.Piece(l, data) }
func (s textSink) Gap(*job.Gap) error              { return nil }

// maxLine is the number of bytes of a line that NDJSON shows.
const maxLine = 1 << 20

// LogLine is a line of a log in NDJSON.
type LogLine struct {
	N      int64      `json:"n"`
	At     time.Time  `json:"at"` // when its first byte was printed, by the agent's clock
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	// Text is the line without its newline. If the line is not UTF-8, it is in Base64.
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
	// Open says that the line has no newline yet and may continue.
	Open bool `json:"open,omitempty"`
	// Truncated says that this is only the beginning of the line. Bytes is its length as far as it was read,
	// with the newline. The text form of the log has the whole line.
	Truncated bool  `json:"truncated,omitempty"`
	Bytes     int64 `json:"bytes,omitempty"`
}

// GapLine is a gap in NDJSON, in its place among the lines.
type GapLine struct {
	Gap *job.Gap `json:"gap"`
}

// jsonSink writes one JSON object per line.
type jsonSink struct {
	enc *json.Encoder
	cur []byte // of the first line
}

func newJSONSink(w io.Writer) *jsonSink {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonSink{enc: enc}
}

func (s *jsonSink) Piece(_ *Line, data []byte) error {
	room := maxLine + 1 - len(s.cur) // one more, for the newline of a line that just fits
	s.cur = append(s.cur, data[:min(room, len(data))]...)
	return nil
}

func (s *jsonSink) End(l *Line) error {
	line := LogLine{N: l.Number, At: l.At.UTC(), Step: l.Key.Step, Stream: l.Key.Stream, Open: !l.complete && !l.cut}
	text := s.cur
	if !l.Bare && l.Bytes == int64(len(text)) {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	if len(text) > maxLine {
		text = WholeRunes(text[:maxLine])
		line.Truncated = true
	}
	if l.cut {
		line.Truncated = true
	}
	if line.Truncated {
		line.Bytes = l.Bytes
	}
	line.Text, line.Base64 = TextOrBase64(text)
	s.cur = s.cur[:0]
	if cap(s.cur) > 64<<10 {
		s.cur = nil
	}
	return s.enc.Encode(line)
}

func (s *jsonSink) Late(*Line, []byte) error { return nil }
func (s *jsonSink) Gap(g *job.Gap) error     { return s.enc.Encode(GapLine{g}) }

// TextOrBase64 returns bytes as text if they are UTF-8, else as bytes that JSON encodes in Base64.
func TextOrBase64(b []byte) (text *string, base64 []byte) {
	if utf8.Valid(b) {
		t := string(b)
		return &t, nil
	}
	return nil, b
}

// WholeRunes returns b without an incomplete character at its end.
func WholeRunes(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		tail := b[len(b)-i:]
		if utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return b[:len(b)-i]
			}
			return b
		}
	}
	return b
}
