package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain":                 "plain",
		" \tat the ends\n":      "at the ends",
		"a\x00b\x1b[2Jc\u009bd": "a b [2Jc d",
		"a\u202eb":              "a b",
		"a\xffb":                "a\uFFFDb",
		"0123456789abcdef":      "0123456789abcdef",
		"0123456789abcdefg":     "0123456789abc…",
		"0123456789ab äöü":      "0123456789ab…",
	} {
		if got := Clean(in, 16); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("text\x1b[0m", 10)
	f.Add(strings.Repeat("ä", 100), 64)
	f.Fuzz(func(t *testing.T, in string, most int) {
		most = 3 + int(uint(most)%1000)
		got := Clean(in, most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || got != strings.TrimSpace(got) {
			t.Errorf("%q became %q with at most %d bytes", in, got, most)
		}
	})
}

func TestBeginning(t *testing.T) {
	for in, want := range map[string]string{"": "", "abcd": "abcd", "abcde": "abcd …", "abcé": "abc …"} {
		if got := Beginning(in, 4); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
