package console

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHang(t *testing.T) {
	for _, c := range []struct {
		text          string
		indent, width int
		want          string
	}{
		{"one two three", 4, 0, "one two three"},
		{"one two three", 4, 80, "one two three"},
		{"one two three", 4, 14, "one two\n    three"},
		{"one two three", 4, 16, "one two\n    three"},
		{"one two three", 4, 17, "one two three"},
		{"a-word-that-is-too-long for it", 0, 10, "a-word-tha\nt-is-too-l\nong for it"},
		{"short a-word-that-is-too-long", 0, 12, "short\na-word-that-\nis-too-long"},
		{"a  b", 0, 10, "a  b"},
		{"夜間のバックアップ", 0, 10, "夜間のバッ\nクアップ"},
		{"ä\u0308\u0308bcdefghijkl", 0, 10, "ä\u0308\u0308bcdefghij\nkl"},
		{"of a narrow terminal", 20, 24, "of a\n                    narrow\n                    terminal"},
		{"", 4, 10, ""},
	} {
		if got := Hang(c.text, c.indent, c.width, nil); got != c.want {
			t.Errorf("%q after %d of %d cells: %q, want %q", c.text, c.indent, c.width, got, c.want)
		}
	}
	if got := Hang("one two three", 0, 10, func(s string) string { return "<" + s + ">" }); got != "<one two>\n<three>" {
		t.Error(got)
	}
}

// No line is wider than the terminal, and nothing but spaces is lost.
func TestHangFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.StringOfN(rapid.RuneFrom([]rune("ab漢\u0301é")), 0, 30, -1)).Draw(t, "words"), " ")
		indent, width := rapid.IntRange(0, 20).Draw(t, "indent"), rapid.IntRange(30, 60).Draw(t, "width")
		lines := strings.Split(Hang(text, indent, width, nil), "\n")
		for i, line := range lines {
			if i == 0 {
				line = strings.Repeat(" ", indent) + line
			}
			if Cells(line) > width {
				t.Fatalf("a line of %d cells: %q", Cells(line), line)
			}
		}
		without := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if without(strings.Join(lines, "")) != without(text) {
			t.Fatalf("%q became %q", text, lines)
		}
	})
}
