package console

import (
	"slices"
	"strings"
	"time"
)

// Column is a column of a table. Widths are in cells of a terminal.
type Column struct {
	Head  string
	Right bool // aligned to the right, for numbers
	// Min is the width down to which the column is cut, before a column is left out, if the table is wider than
	// the terminal. 0: it is cut only if nothing else is left to do.
	Min int
	// Wrap lets a text that is cut go on in lines below, if the column is the last one.
	Wrap bool
	// Drop is the place of the column in the order in which columns are left out, from 1; 0 if it always stays.
	Drop int
}

// Cell is a text and how to paint it. Painting happens after the width is known, so that
// colours never disturb the columns.
type Cell struct {
	Text  string
	Tail  string              // follows Text; Text is cut before it, as a job's name before the number of a run
	Paint func(string) string // nil: plain

	zone string // of the time that it is
}

// T returns a plain cell.
func T(text string) Cell { return Cell{Text: text} }

// P returns a painted cell.
func P(text string, paint func(string) string) Cell { return Cell{Text: text, Paint: paint} }

// At returns a cell with a time in the zone of the terminal, which the head of the first such column names.
func At(t time.Time, layout string) Cell { return In(t, layout, time.Local) }

// In is At for another zone than that of the terminal.
func In(t time.Time, layout string, location *time.Location) Cell {
	t = t.In(location)
	zone, _ := t.Zone()
	return Cell{Text: t.Format(layout), zone: zone}
}

// gap separates columns.
const gap = "  "

// Table lays rows out in columns. On a terminal no line is wider than that: columns are cut, and left out. Elsewhere
// every row is whole. Every text is cleaned.
func (c *Console) Table(columns []Column, rows [][]Cell) string {
	return layTable(columns, rows, c.Width(c.Out), c.StyleFor(c.Out))
}

// layTable is Table for a terminal of some width; 0 for none.
func layTable(columns []Column, rows [][]Cell, width int, s Style) string {
	t := newTable(columns, rows)
	if width > 0 {
		t.fit(width)
	}
	var b strings.Builder
	line := func(cells []Cell) {
		var row strings.Builder
		for i, at := range t.shown {
			last := i == len(t.shown)-1
			if c := cells[at]; last && t.columns[at].Wrap && width > 0 {
				row.WriteString(Hang(c.Text+c.Tail, width-t.widths[at], width, c.Paint))
				break
			}
			row.WriteString(laid(cells[at], t.widths[at], t.columns[at].Right, last))
			if !last {
				row.WriteString(gap)
			}
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	head := make([]Cell, len(columns))
	for i := range columns {
		head[i] = P(t.head(i), s.Muted)
	}
	line(head)
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// laid returns a cell in a column of some width. Nothing follows the text of the last one.
func laid(c Cell, width int, right, last bool) string {
	text := c.cut(width)
	space := strings.Repeat(" ", max(width-Cells(text), 0))
	if c.Paint != nil {
		text = c.Paint(text)
	}
	switch {
	case right:
		return space + text
	case last:
		return text
	}
	return text + space
}

// table is a table that is laid out.
type table struct {
	columns []Column
	rows    [][]Cell
	shown   []int // the places of the columns that are not left out
	natural []int // the widths of the columns if nothing is cut, without the heads
	widths  []int // those that they get
	zones   string
	counts  [][]int // of each column how many cells have each width
}

func newTable(columns []Column, rows [][]Cell) *table {
	t := &table{columns: columns, rows: make([][]Cell, len(rows)), natural: make([]int, len(columns)), counts: make([][]int, len(columns))}
	var zones []string
	for n, row := range rows {
		t.rows[n] = slices.Clone(row)
		for i := range row {
			cell := &t.rows[n][i]
			cell.Text, cell.Tail = Clean(cell.Text), Clean(cell.Tail)
			if cell.zone != "" && !slices.Contains(zones, cell.zone) {
				zones = append(zones, cell.zone)
			}
			w := Cells(cell.Text) + Cells(cell.Tail)
			t.natural[i] = max(t.natural[i], w)
			for len(t.counts[i]) <= w {
				t.counts[i] = append(t.counts[i], 0)
			}
			t.counts[i][w]++
		}
	}
	slices.Sort(zones)
	t.zones = strings.Join(zones, "/")
	for i := range columns {
		t.shown = append(t.shown, i)
	}
	t.widths = make([]int, len(columns))
	t.reset()
	return t
}

// reset gives every column that is shown the width that it would like.
func (t *table) reset() {
	for _, i := range t.shown {
		t.widths[i] = max(t.natural[i], Cells(t.head(i)))
	}
}

// head returns the head of a column. The first one with times names the zone.
func (t *table) head(column int) string {
	text := t.columns[column].Head
	for _, i := range t.shown {
		if slices.ContainsFunc(t.rows, func(row []Cell) bool { return row[i].zone != "" }) {
			if i == column {
				text += " (" + t.zones + ")"
			}
			break
		}
	}
	return text
}

// total returns the width of the longest line.
func (t *table) total() int {
	sum := len(gap) * (len(t.shown) - 1)
	for _, i := range t.shown {
		sum += t.widths[i]
	}
	return sum
}

// narrow is the width down to which a column is cut before it is left out, and before one is cut that has no least width.
const narrow = 8

// fit makes the table no wider than width: it cuts columns down to their least widths, leaves columns out in their order,
// and in the end cuts any column and leaves out the last ones.
func (t *table) fit(width int) {
	fits := t.shrink(width, t.least)
	for next := t.next(); !fits && next >= 0; next = t.next() {
		fits = t.shrink(width, func(i int) int {
			if i == next {
				return t.narrowed(i)
			}
			return t.least(i)
		})
		if !fits {
			t.leaveOut(next)
			fits = t.shrink(width, t.least)
		}
	}
	if fits || t.shrink(width, t.narrowed) {
		return
	}
	for !t.shrink(width, func(int) int { return 1 }) && len(t.shown) > 1 {
		t.leaveOut(t.shown[len(t.shown)-1])
	}
}

// least returns the least width of a column, in which its head is whole.
func (t *table) least(column int) int {
	if low := t.columns[column].Min; low > 0 {
		return min(max(low, Cells(t.head(column))), t.widths[column])
	}
	return t.widths[column]
}

// narrowed returns the width of a column that is cut as far as it can be read. The name of a zone stays whole.
func (t *table) narrowed(column int) int {
	low := t.least(column)
	if t.columns[column].Min == 0 || t.head(column) != t.columns[column].Head {
		return low
	}
	return min(low, narrow)
}

// next returns the column that is left out next; -1 for none.
func (t *table) next() int {
	next := -1
	for _, i := range t.shown {
		if d := t.columns[i].Drop; d > 0 && (next < 0 || d < t.columns[next].Drop) {
			next = i
		}
	}
	return next
}

func (t *table) leaveOut(column int) {
	t.shown = slices.DeleteFunc(t.shown, func(i int) bool { return i == column })
	t.reset()
}

// shrink cuts columns until the table fits, none below its least width, and reports whether it does. Each cell is taken
// from the column in which it costs the fewest rows a part of their text; of several, from the widest.
func (t *table) shrink(width int, least func(int) int) bool {
	lows, cost := map[int]int{}, map[int]int{}
	sum := t.total()
	for _, i := range t.shown {
		lows[i] = least(i)
		if len(t.counts[i]) > t.widths[i] {
			cost[i] = t.counts[i][t.widths[i]]
		}
	}
	for ; sum > width; sum-- {
		best := -1
		for _, i := range t.shown {
			if t.widths[i] > lows[i] && (best < 0 || cost[i] < cost[best] || cost[i] == cost[best] && t.widths[i] > t.widths[best]) {
				best = i
			}
		}
		if best < 0 {
			return false
		}
		t.widths[best]--
		if w := t.widths[best]; w < len(t.counts[best]) {
			cost[best] += t.counts[best][w]
		}
	}
	return true
}

// cut shortens a cell to n cells of a terminal, before its tail if that leaves something of the text.
func (c Cell) cut(n int) string {
	tail := Cells(c.Tail)
	if Cells(c.Text)+tail <= n {
		return c.Text + c.Tail
	}
	if tail > 0 && n > tail+1 {
		return Cut(c.Text, n-tail) + c.Tail
	}
	return Cut(c.Text+c.Tail, n)
}
