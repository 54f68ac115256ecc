package runcmd

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// A command of any length leaves the list of runs readable where no terminal bounds its width.
func TestLongCommandsAreCutInTables(t *testing.T) {
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &program{&command.Program{Console: &console.Console{Out: out, Getenv: func(string) string { return "" }}}}
	runs := []job.Run{{Job: "long", Number: 1, Command: strings.Repeat("word ", 10_000)}, {Job: "short", Number: 1, Command: "make all"}}
	text := p.runsTable(runs, time.Now())
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line); n > 2*maxCommand {
			t.Errorf("a line of %d characters", n)
		}
	}
	if !strings.Contains(text, "word word") || !strings.Contains(text, "make all\n") {
		t.Errorf("table:\n%s", text)
	}
}
