package search

import (
	"bytes"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A search that skips bytes that cannot match finds the same lines as a search of each line.
func TestRequiredTextsMissNoLine(t *testing.T) {
	patterns := []string{
		"ab.*ba", "b[ab]+a", "(ab)+c", "(ab){2}c+a", "a|bc", "(a|b)c", "ab?c", "(?i)AB.c", "a(?i)b.c", "^ab", "ca$", "c(ab|ba)c", "a.b.c", "(ab)?c",
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.SampledFrom(patterns).Draw(t, "pattern")
		data := append([]byte(rapid.StringOfN(rapid.RuneFrom([]rune("abcABC\n\n")), 0, 200, -1).Draw(t, "text")), '\n')
		m, err := NewMatcher(pattern, true, true)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range bytes.Lines(data) {
			if line = line[:len(line)-1]; regexp.MustCompile(pattern).Match(line) {
				want = append(want, string(line))
			}
		}
		for pos := 0; pos < len(data); {
			start := pos
			if m.need != nil {
				at := m.need(data[pos:])
				if at < 0 {
					break
				}
				start = pos + bytes.LastIndexByte(data[pos:pos+at], '\n') + 1
			}
			end := start + bytes.IndexByte(data[start:], '\n')
			if _, _, ok := m.find(data[start:end]); ok {
				got = append(got, string(data[start:end]))
			}
			pos = end + 1
		}
		if !slices.Equal(want, got) {
			t.Fatalf("%s in %q: %q, want %q", pattern, data, got, want)
		}
	})
}
