package console

import "strings"

// Hang returns a text that follows indent cells of its line, such that no line is wider than width cells of a terminal: it goes on
// in lines that are indented by as many. It is broken at spaces, and within a word that is wider than a line. Each line is painted
// by itself; nil for not at all. A width of 0, of no terminal, leaves the text on one line.
func Hang(text string, indent, width int, paint func(string) string) string {
	lines := []string{text}
	if width > 0 {
		lines = wrap(text, max(width-indent, leastRoom))
	}
	if paint != nil {
		for i := range lines {
			lines[i] = paint(lines[i])
		}
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

// leastRoom is the width in which texts are wrapped where an indentation leaves less of a terminal.
const leastRoom = 10

// wrap parts a text into lines of at most width cells.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
			line = word
		case Cells(line)+1+Cells(word) <= width:
			line += " " + word
		default:
			lines = append(lines, strings.TrimRight(line, " "))
			line = word
		}
		for Cells(line) > width {
			at := breakAt(line, width)
			lines = append(lines, line[:at])
			line = line[at:]
		}
	}
	return append(lines, strings.TrimRight(line, " "))
}

// breakAt returns the number of bytes of a text that take at most width cells: of one character at least, with what combines with it.
func breakAt(text string, width int) int {
	used := 0
	for at, r := range text {
		if used += cellsOf(r); used > width && at > 0 && cellsOf(r) > 0 {
			return at
		}
	}
	return len(text)
}
