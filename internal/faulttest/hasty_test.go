package faulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A server packs a journal half a minute after its end, and waits for an archive for a minute:
// too long for a schedule. The server is built once more with shorter pauses; nothing else of it
// differs.
var hasty = []shorter{
	{"internal/store/tables/rows.go", "packDelay = 30 * time.Second", "packDelay = 300 * time.Millisecond"},
	{"internal/store/maintenance/packdue.go", "packTimeout = 5 * time.Minute", "packTimeout = 3 * time.Second"},
	{"internal/store/maintenance/tidy.go", "tidyInterval = 10 * time.Second", "tidyInterval = 300 * time.Millisecond"},
	{"internal/store/maintenance/tidy.go", "busyDelay    = 3 * time.Second", "busyDelay    = 100 * time.Millisecond"},
	{"internal/archive/s3.go", "o.Timeout = time.Minute", "o.Timeout = 2 * time.Second"},
	{"internal/health/diagnoser.go", "diagnosisTimeout = 10 * time.Second", "diagnosisTimeout = time.Second"},
	{"job/trouble.go", "firstTroublePause   = 10 * time.Second", "firstTroublePause   = 300 * time.Millisecond"},
	{"job/trouble.go", "LongestTroublePause = time.Hour", "LongestTroublePause = 2 * time.Second"},
}

// shorter is a constant of a program that a test makes shorter.
type shorter struct{ file, is, becomes string }

// overlay writes the files that a table changes, and returns the replacements for go build, by path.
func overlay(dir, name string, table []shorter) (map[string]string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	texts, replaced := map[string]string{}, map[string]string{}
	for i, h := range table {
		path := filepath.Join(root, h.file)
		if texts[path] == "" {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			texts[path], replaced[path] = string(text), filepath.Join(dir, fmt.Sprintf("%s-%d.go", name, i))
		}
		changed := strings.Replace(texts[path], h.is, h.becomes, 1)
		if changed == texts[path] {
			return nil, fmt.Errorf("%s has no %q: adapt the table %s", h.file, h.is, name)
		}
		texts[path] = changed
	}
	for path, text := range texts {
		if err := os.WriteFile(replaced[path], []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return replaced, nil
}
