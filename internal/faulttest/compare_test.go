package faulttest

import (
	"testing"

	"stint.dev/stint/job"
)

// The comparison finds whatever is not exactly as it must be.
func TestCompare(t *testing.T) {
	const want = "one\ntwo\nthree\nfour\n"
	gap := func(at, bytes, lines int64) []job.Gap { return []job.Gap{{AtBytes: at, Bytes: bytes, Lines: lines}} }
	for name, c := range map[string]struct {
		got     string
		gaps    []job.Gap
		covered int // -1: it must be refused
	}{
		"all of it":                    {want, nil, len(want)},
		"a beginning":                  {"one\ntw", nil, 6},
		"nothing":                      {"", nil, 0},
		"a byte changed":               {"one\ntwo\nthrEe\nfour\n", nil, -1},
		"a line twice":                 {"one\ntwo\ntwo\nthree\nfour\n", nil, -1},
		"a line missing":               {"one\nthree\nfour\n", nil, -1},
		"one byte too much":            {want + "x", nil, -1},
		"two lines the other way":      {"two\none\nthree\nfour\n", nil, -1},
		"a gap in the middle":          {"one\nthree\nfour\n", gap(4, 4, 1), len(want)},
		"a gap at the end":             {"one\n", gap(4, 15, 3), len(want)},
		"a gap of too many bytes":      {"one\nthree\nfour\n", gap(4, 5, 1), -1},
		"a gap of too few bytes":       {"one\nthree\nfour\n", gap(4, 3, 1), -1},
		"a gap at another place":       {"one\nthree\nfour\n", gap(2, 4, 1), -1},
		"a gap of other lines":         {"one\nthree\nfour\n", gap(4, 4, 2), -1},
		"a gap that dropped nothing":   {want, gap(4, 4, 1), -1},
		"a gap beyond the end":         {"one\n", gap(4, 100, 3), -1},
		"two gaps, one over the other": {"one\n", append(gap(4, 6, 1), gap(6, 13, 2)...), -1},
	} {
		covered, err := compare([]byte(want), []byte(c.got), c.gaps)
		if (err != nil) != (c.covered < 0) || err == nil && covered != c.covered {
			t.Errorf("%s: %d bytes, %v; want %d", name, covered, err, c.covered)
		}
	}
}
