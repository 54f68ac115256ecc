package ending

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// linesOf returns the lines of a text as output of a step and stream, numbered from a number.
func linesOf(stream job.Stream, text string, from int64) []Line {
	var out []Line
	parts := maxMatched
	for one := range strings.SplitSeq(text, "\n") {
		if shown := show([]byte(one), &parts); strings.TrimSpace(shown) != "" {
			out = append(out, Line{Stream: stream, Number: from, Text: shown})
		}
		from++
	}
	return out
}

// Each recording of a real failure states its error in the line that its file "line" has.
func TestRecordedFailures(t *testing.T) {
	runs, err := filepath.Glob("testdata/failures/*/run")
	if err != nil || len(runs) < 40 {
		t.Fatalf("%d recordings, %v", len(runs), err)
	}
	for _, run := range runs {
		dir := filepath.Dir(run)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			read := func(name string) string {
				t.Helper()
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			want := strings.TrimSuffix(read("line"), "\n")
			lines := append(linesOf(job.Stdout, read("stdout"), 1), linesOf(job.Stderr, read("stderr"), 10_000)...)
			got, strength, ok := ErrorLine(lines)
			if !ok || got.Quoted() != want {
				t.Errorf("states %q (%d, %t), want %q", got.Quoted(), strength, ok, want)
			}
		})
	}
}
