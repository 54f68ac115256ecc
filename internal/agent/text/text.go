// Package text makes text for people of bytes from outside.
package text

import (
	"strings"
	"unicode"
)

// Clean returns valid UTF-8 without control characters, which become spaces, and without
// spaces at its ends. It is at most so many bytes long: longer text is cut between characters,
// and ends with an ellipsis.
func Clean(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	const mark = "…"
	return strings.TrimSpace(strings.ToValidUTF8(s[:most-len(mark)], "")) + mark
}

// Beginning returns a text of at most so many bytes as it is, and of a longer one so much, with an ellipsis.
func Beginning(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " …"
}
