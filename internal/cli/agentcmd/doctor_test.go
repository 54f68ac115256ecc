package agentcmd

import (
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/doctor"
)

// No line of stint doctor is wider than the terminal, and nothing of the findings is lost.
func TestFindingsFitTerminals(t *testing.T) {
	long := "no answer from http://" + strings.Repeat("a-long-name.", 12) + "example.org because " + strings.Repeat("of many words ", 12) + "夜間のバックアップ"
	found := []doctor.Finding{
		{Check: "server", Level: "error", Detail: long, Do: "start it"},
		{Check: "containment", Level: "warning", Detail: "short", Do: long},
		{Check: "tls", Level: "ok", Detail: "not needed"},
	}
	for _, columns := range []int{60, 80, 120, 200} {
		master, slave, err := terminal.Open(terminal.Size{Columns: uint16(columns), Rows: 50})
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close() //nolint:errcheck // nothing is written to it
		defer slave.Close()  //nolint:errcheck // nothing is written to it
		a := &agentProgram{Console: &console.Console{Out: slave, Getenv: func(name string) string {
			return map[string]string{"NO_COLOR": "1"}[name]
		}}}
		text := a.findingLines(found)
		for line := range strings.Lines(text) {
			if n := console.Cells(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("at %d columns a line of %d cells: %q", columns, n, line)
			}
		}
		without := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if want := "✕server" + without(long) + ";startit!containmentshort;" + without(long) + "✓tlsnotneeded"; without(text) != want {
			t.Errorf("at %d columns:\n%s\nwant %s", columns, text, want)
		}
	}
}
