package search

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"stint.dev/stint/internal/logs"
)

// maxShown is the number of bytes of a line that a search shows; at most shownBefore of them
// precede the first match.
const (
	maxShown    = 8 << 10
	shownBefore = 1 << 10
)

// shownText is a line, or the part of it around its first match.
type shownText struct {
	Text   string   `json:"text"`
	Ranges [][2]int `json:"ranges,omitempty" doc:"Where the matches are: byte offsets in text, from and to."`
	Cut    bool     `json:"cut,omitempty" doc:"Only a part of the line is shown."`
}

// show returns the text of a line whose first match is line[from:to].
func (m *Matcher) show(line []byte, from, to int) shownText {
	part, cut := line, false
	if len(line) > maxShown {
		start := max(0, from-shownBefore)
		part = logs.WholeRunes(line[start:min(len(line), start+maxShown)])
		from, to, cut = from-start, min(to-start, len(part)), true
		for len(part) > 0 && from > 0 && !utf8.RuneStart(part[0]) {
			part, from, to = part[1:], from-1, to-1
		}
	}
	ranges := m.ranges(part)
	if cut { // an expression that is anchored at the line may match elsewhere in the part
		ranges = append([][2]int{{from, to}}, m.ranges(part[to:])...)
		for i := range ranges[1:] {
			ranges[i+1] = [2]int{ranges[i+1][0] + to, ranges[i+1][1] + to}
		}
	}
	ranges = slices.DeleteFunc(ranges, func(r [2]int) bool { return r[0] == r[1] })
	text, ranges := validText(part, ranges[:min(len(ranges), maxRanges)])
	return shownText{Text: text, Ranges: ranges, Cut: cut}
}

// showPlain returns the text of a context line.
func showPlain(line []byte) shownText {
	if len(line) <= maxShown {
		text, _ := validText(line, nil)
		return shownText{Text: text}
	}
	text, _ := validText(logs.WholeRunes(line[:maxShown]), nil)
	return shownText{Text: text, Cut: true}
}

// validText replaces each byte that is not valid UTF-8 by U+FFFD and adjusts the ranges.
func validText(line []byte, ranges [][2]int) (string, [][2]int) {
	if utf8.Valid(line) {
		return string(line), ranges
	}
	moved := make([]int, len(line)+1) // by the old offset
	out := make([]byte, 0, len(line)+64)
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		for j := range n {
			moved[i+j] = len(out)
		}
		out = utf8.AppendRune(out, r)
		i += n
	}
	moved[len(line)] = len(out)
	for i, r := range ranges {
		ranges[i] = [2]int{moved[r[0]], moved[r[1]]}
	}
	return string(out), ranges
}

// openKeys returns the streams with an open line, in the order of these lines.
func (s *scanner) openKeys() []logs.Key {
	keys := make([]logs.Key, 0, len(s.open))
	for key := range s.open {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b logs.Key) int { return cmp.Compare(s.open[a].n, s.open[b].n) })
	return keys
}
