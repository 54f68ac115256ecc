package console

import (
	"unicode"

	"golang.org/x/text/width"
)

// Cells returns how many cells of a terminal a text takes. Terminals add up the widths of characters, so that a picture
// that joins several takes the cells of all.
func Cells(text string) int {
	n := 0
	for _, r := range text {
		n += cellsOf(r)
	}
	return n
}

// cellsOf returns how many cells of a terminal a character takes: two for wide ones of East Asian scripts and pictures,
// none for marks that combine with the character before, and for what only says how others are shown.
func cellsOf(r rune) int {
	switch {
	case r < 0x300: // as texts are cleaned, each takes one
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens text to n cells of a terminal and marks the cut with an ellipsis. It never parts a character from marks
// that combine with it.
func Cut(text string, n int) string {
	if n < 1 || Cells(text) <= n {
		return text
	}
	used := 0
	for at, r := range text {
		if used += cellsOf(r); used > n-1 {
			return text[:at] + "…"
		}
	}
	return text
}
