package httpio

import (
	"strconv"
	"strings"
)

// Printable returns text on one line, with spaces in place of characters that are not printable.
func Printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.TrimSpace(text)
}
