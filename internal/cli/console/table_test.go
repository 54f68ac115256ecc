package console

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var runColumns = []Column{
	{Head: "RUN", Min: 16},
	{Head: "STATE"},
	{Head: "TOOK", Right: true},
	{Head: "HOST", Min: 8, Drop: 2},
	{Head: "ID", Drop: 1},
	{Head: "COMMAND", Min: 14},
}

func TestTableForSomeWidths(t *testing.T) {
	rows := [][]Cell{
		{{Text: "train", Tail: "#7"}, T("failed"), T("2.4 s"), T("worker-1"), T("01a2b3c4"), T("python train.py")},
		{{Text: "a-very-long-name-of-one-job", Tail: "#12"}, T("succeeded"), T("12 m 40 s"), T("worker-2"), T("01a2b3c5"), T("make")},
		{{Text: "夜間のバックアップ", Tail: "#3"}, T("lost"), T("1 h"), T("worker-3"), T("01a2b3c6"), T("sh -c true")},
	}
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, `
RUN                             STATE           TOOK  HOST      ID        COMMAND
train#7                         failed         2.4 s  worker-1  01a2b3c4  python train.py
a-very-long-name-of-one-job#12  succeeded  12 m 40 s  worker-2  01a2b3c5  make
夜間のバックアップ#3            lost             1 h  worker-3  01a2b3c6  sh -c true
`},
		{80, `
RUN                    STATE           TOOK  HOST      ID        COMMAND
train#7                failed         2.4 s  worker-1  01a2b3c4  python train.py
a-very-long-name-…#12  succeeded  12 m 40 s  worker-2  01a2b3c5  make
夜間のバックアップ#3   lost             1 h  worker-3  01a2b3c6  sh -c true
`},
		{60, `
RUN                    STATE           TOOK  COMMAND
train#7                failed         2.4 s  python train.py
a-very-long-name-…#12  succeeded  12 m 40 s  make
夜間のバックアップ#3   lost             1 h  sh -c true
`},
		{40, `
RUN       STATE           TOOK  COMMAND
train#7   failed         2.4 s  python …
a-ve…#12  succeeded  12 m 40 s  make
夜間…#3   lost             1 h  sh -c t…
`},
		{5, `
…  S…
…  f…
…  s…
…  l…
`},
	} {
		if got := layTable(runColumns, rows, c.width, Style{}); got != c.want[1:] {
			t.Errorf("at %d columns:\n%swant:%s", c.width, got, c.want)
		}
	}
}

// The zone of the times in a table is named once; both of its names if the clocks change between them.
func TestTableNamesTheZoneOnce(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = berlin
	winter := At(time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC), "2006-01-02 15:04")
	summer := At(time.Date(2026, 7, 5, 3, 0, 0, 0, time.UTC), "2006-01-02 15:04")
	columns := []Column{{Head: "NAME"}, {Head: "CREATED", Drop: 1}, {Head: "USED"}}
	for _, c := range []struct {
		rows  [][]Cell
		width int
		want  string
	}{
		{[][]Cell{{T("a"), winter, T("never")}}, 0, "NAME  CREATED (CET)     USED\na     2026-01-05 04:00  never\n"},
		{[][]Cell{{T("a"), winter, summer}}, 0, "NAME  CREATED (CEST/CET)  USED\na     2026-01-05 04:00    2026-07-05 05:00\n"},
		{[][]Cell{{T("a"), winter, winter}}, 24, "NAME  USED (CET)\na     2026-01-05 04:00\n"},
		{[][]Cell{{T("a"), T("-"), T("never")}}, 0, "NAME  CREATED  USED\na     -        never\n"},
	} {
		if got := layTable(columns, c.rows, c.width, Style{}); got != c.want {
			t.Errorf("got\n%swant\n%s", got, c.want)
		}
	}
}

// No line of any table is wider than the terminal, and without a terminal every cell is whole.
func TestTablesFitTheTerminal(t *testing.T) {
	texts := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune("ab# -…日本한é\u0301\u0300●⏱👩🏽\ufe0f\t\x1b\u200d")), 0, 40, -1),
		rapid.StringMatching(`[a-z]{0,90}`),
		rapid.String(),
	)
	rapid.Check(t, func(rt *rapid.T) {
		var columns []Column
		for range rapid.IntRange(1, 10).Draw(rt, "columns") {
			columns = append(columns, Column{
				Head: rapid.StringMatching(`[A-Z ]{0,10}`).Draw(rt, "head"), Right: rapid.Bool().Draw(rt, "right"),
				Min: rapid.IntRange(0, 30).Draw(rt, "min"), Drop: rapid.IntRange(0, 4).Draw(rt, "drop"),
			})
		}
		var rows [][]Cell
		for range rapid.IntRange(0, 5).Draw(rt, "rows") {
			var row []Cell
			for range columns {
				cell := T(texts.Draw(rt, "text"))
				switch rapid.IntRange(0, 9).Draw(rt, "kind") {
				case 0:
					cell = At(time.Unix(1_800_000_000, 0), time.DateTime)
				case 1:
					cell.Tail = "#12"
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
		width := rapid.IntRange(1, 220).Draw(rt, "width")
		for line := range strings.Lines(layTable(columns, rows, width, Style{})) {
			if n := Cells(strings.TrimRight(line, "\n")); n > width {
				rt.Fatalf("a line of %d cells on a terminal of %d: %q", n, width, line)
			}
		}
		lines := strings.Split(layTable(columns, rows, 0, Style{}), "\n")
		for n, row := range rows {
			for _, cell := range row {
				if whole := strings.TrimRight(Clean(cell.Text)+cell.Tail, " "); !strings.Contains(lines[n+1], whole) {
					rt.Fatalf("without a terminal %q is not in %q", whole, lines[n+1])
				}
			}
		}
	})
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"plain", 5, "plain"},
		{"plain", 4, "pla…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"日本語", 1, "…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := Cut(c.text, c.n); got != c.want {
			t.Errorf("%q cut to %d: %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
