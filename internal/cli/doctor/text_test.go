package doctor

import (
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/console"
)

// No line is wider than the terminal, and nothing of the findings is lost.
func TestTextFitsTerminals(t *testing.T) {
	long := "no answer from http://" + strings.Repeat("a-long-name.", 12) + "example.org because " + strings.Repeat("of many words ", 12) + "夜間のバックアップ"
	found := []Finding{
		{Check: "server", Level: "error", Detail: long, Do: "start it"},
		{Check: "containment", Level: "warning", Detail: "short", Do: long},
		{Check: "tls", Level: "ok", Detail: "not needed"},
	}
	for _, columns := range []int{0, 60, 80, 120, 200} {
		text := Text(found, console.Style{}, columns)
		for line := range strings.Lines(text) {
			if n := console.Cells(strings.TrimSuffix(line, "\n")); columns > 0 && n > columns {
				t.Errorf("at %d columns a line of %d cells: %q", columns, n, line)
			}
		}
		if n := strings.Count(text, "\n"); columns == 0 && n != len(found) {
			t.Errorf("without a terminal it has %d lines", n)
		}
		without := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if want := "✕server" + without(long) + ";startit!containmentshort;" + without(long) + "✓tlsnotneeded"; without(text) != want {
			t.Errorf("at %d columns:\n%s\nwant %s", columns, text, want)
		}
	}
}
