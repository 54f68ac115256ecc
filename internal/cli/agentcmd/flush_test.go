package agentcmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/cli/console"
)

// What stint flush says on stderr about the journals as a whole.
func TestWhatFlushSays(t *testing.T) {
	alone := flush.Journal{Skipped: flush.InUse}
	for want, report := range map[string]flush.Report{
		"stint: 1 more journal was not tried after this failure\n":        {Untried: 1, Journals: []flush.Journal{{Delivered: true}}},
		"stint: 2 more journals were not tried after this failure\n":      {Untried: 2, Journals: []flush.Journal{{Delivered: true}}},
		"stint: nothing waits for http://h\n":                             {},
		"stint: nothing waits for http://h; 1 journal was left alone\n":   {Journals: []flush.Journal{alone}},
		"stint: nothing waits for http://h; 2 journals were left alone\n": {Journals: []flush.Journal{alone, alone}},
		"": {Journals: []flush.Journal{{Delivered: true}}},
	} {
		dir := t.TempDir()
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		stderr, err := os.Create(filepath.Join(dir, "err"))
		if err != nil {
			t.Fatal(err)
		}
		defer stderr.Close()
		a := &agentProgram{Console: &console.Console{Out: out, Err: stderr, Getenv: func(string) string { return "" }}}
		if err := a.printFlush(report, "http://h", false); err != nil {
			t.Fatal(err)
		}
		a.Flush()
		text, err := os.ReadFile(stderr.Name())
		if err != nil || string(text) != want {
			t.Errorf("got %q (%v), want %q", text, err, want)
		}
		if lines, err := os.ReadFile(out.Name()); err != nil || strings.Count(string(lines), "\n") != len(report.Journals) {
			t.Errorf("%q (%v): want a line for each of %d journals", lines, err, len(report.Journals))
		}
	}
}
