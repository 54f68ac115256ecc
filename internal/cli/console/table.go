package console

import (
	"strings"
	"unicode/utf8"
)

// Cell is a text and how to paint it. Painting happens after the width is known, so that
// colours never disturb the columns.
type Cell struct {
	Text  string
	Paint func(string) string // nil: plain
	Right bool                // aligned to the right, for numbers
}

// T returns a plain cell.
func T(text string) Cell { return Cell{Text: text} }

// R returns a plain cell that is aligned to the right.
func R(text string) Cell { return Cell{Text: text, Right: true} }

// P returns a painted cell.
func P(text string, paint func(string) string) Cell { return Cell{Text: text, Paint: paint} }

// Table lays rows out in columns, two spaces apart. The last column is cut to width (0: no
// limit). Every text is cleaned.
func Table(header []string, rows [][]Cell, width int, s Style) string {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range rows {
		for i := range row {
			row[i].Text = Clean(row[i].Text)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].Text))
		}
	}
	var b strings.Builder
	line := func(cells []Cell) {
		used := 0
		for i, c := range cells {
			text := c.Text
			last := i == len(cells)-1
			if last && width > used+8 {
				text = Cut(text, width-used)
			}
			gap := max(widths[i]-utf8.RuneCountInString(text), 0)
			if c.Paint != nil {
				text = c.Paint(text)
			}
			switch {
			case c.Right:
				text = strings.Repeat(" ", gap) + text
			case !last:
				text += strings.Repeat(" ", gap)
			}
			b.WriteString(text)
			if !last {
				b.WriteString("  ")
			}
			used += widths[i] + 2
		}
		b.WriteByte('\n')
	}
	head := make([]Cell, len(header))
	for i, h := range header {
		head[i] = P(h, s.Muted)
		if len(rows) > 0 {
			head[i].Right = rows[0][i].Right
		}
	}
	line(head)
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// Cut shortens text to n columns and marks the cut with an ellipsis.
func Cut(text string, n int) string {
	if n < 1 || utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return string(runes[:n-1]) + "…"
}
