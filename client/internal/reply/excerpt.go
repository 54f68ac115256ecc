package reply

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Excerpt returns the beginning of a body as one line, without the tags of HTML; empty for a body
// that is not text.
func Excerpt(body []byte) string {
	const most = 2000
	text := string(body[:min(len(body), most)])
	if len(body) > most { // perhaps within a character
		text = strings.TrimRightFunc(text, func(r rune) bool { return r == utf8.RuneError })
	}
	if !utf8.ValidString(text) {
		return ""
	}
	if strings.HasPrefix(strings.TrimSpace(text), "<") {
		var b strings.Builder
		for text != "" {
			before, rest, _ := strings.Cut(text, "<")
			b.WriteString(before + " ")
			_, text, _ = strings.Cut(rest, ">")
		}
		text = b.String()
	}
	return Line(text, 100)
}

// Line returns text as one line of at most so many bytes, without control characters.
func Line(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "�"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
