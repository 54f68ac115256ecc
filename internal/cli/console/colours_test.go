package console_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/cli/console"
)

// filtered is what comes out of a filter that gets pieces.
func filtered(t interface{ Fatal(...any) }, pieces ...string) string {
	var out bytes.Buffer
	f := console.NewColourFilter(&out)
	for _, p := range pieces {
		if n, err := f.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestColourFilter(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain\ttext\r\nnext\n": "plain\ttext\r\nnext\n",
		"héllo 日本 👩‍👩‍👧 \u202e":                      "héllo 日本 👩‍👩‍👧 \u202e",
		"\x1b[31mred\x1b[0m":                         "\x1b[31mred\x1b[0m\x1b[0m",
		"\x1b[1;38;2;1;2;3mx":                        "\x1b[1;38;2;1;2;3mx\x1b[0m",
		"\x1b[38:2::1:2:3mx\x1b[m":                   "\x1b[38:2::1:2:3mx\x1b[m\x1b[0m",
		"a\x1b[2Jb\x1b[1;1Hc\x1b[?25ld":              "abcd",
		"a\x1b[>4;2mb\x1b[?1mc":                      "abc", // other meanings of m
		"a\x1b[0 mb\x1b[1$mc":                        "abc",
		"\x1b]0;title\x07a":                          "a",
		"\x1b]52;c;aGk=\x1b\\a":                      "a",
		"\x1b]52;c;aGk=\u009ca":                      "a",
		"\x1b]8;;http://h\x1b\\link\x1b]8;;\a!":      "link!",
		"\x1bP+q544e\x1b\\a":                         "a",
		"\x1bXsos\x1b\\\x1b^pm\x1b\\\x1b_apc\x1b\\a": "a",
		"\u009b31mred":                               "red", // the short form is not passed on
		"\u009d52;c;aGk=\x07a":                       "a",
		"\u0090q\u009ca\u0085b":                      "ab",
		"a\x07\x08\x0b\x0c\x0e\x0f\x7f\x00b":         "ab",
		"\x1bcreset\x1b(0box\x1b#8\x1b7":             "resetbox",
		"\x1b\x1b[31mx":                              "\x1b[31mx\x1b[0m",
		"\x1b[3\x1b[31mx":                            "\x1b[31mx\x1b[0m",
		"\x1b[31":                                    "",
		"\x1b[31\nx":                                 "\nx",
		"\x1b]0;never ended\nnext":                   "\nnext",
		"\x1bPnever ended\x18next":                   "next",
		"\x1b]0;t\x1b[31mx":                          "\x1b[31mx\x1b[0m", // ESC ends a string
		"\x1b[3é":                                    "é",
		"a\xffb\x9b31mc\x80":                         "a\uFFFDb\uFFFD31mc\uFFFD",
		"cut \xe6\x97":                               "cut \uFFFD",
		"\x1b[" + strings.Repeat("1;", 200) + "mx":   "x",
	} {
		if got := filtered(t, in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

var sgr = regexp.MustCompile(`\x1b\[[0-9:;]*m`)

// checkFiltered is what holds of every text that went through a filter.
func checkFiltered(t interface{ Fatalf(string, ...any) }, in, out string) {
	if !utf8.ValidString(out) {
		t.Fatalf("%q becomes %q, which is not UTF-8", in, out)
	}
	bare := sgr.ReplaceAllString(out, "")
	for _, r := range bare {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			t.Fatalf("%q becomes %q, with %U", in, out, r)
		}
	}
	if strings.Count(in, "\n") != strings.Count(out, "\n") {
		t.Fatalf("%q becomes %q: lines are lost", in, out)
	}
}

// However the text is cut, the same comes out; and text without control characters stays.
func TestColourFilterInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens := []string{
			"\x1b", "[", "]", "P", "m", "31", ";", ":", "?", "\\", "\a", "\n", "\r", "\x18", "\u009b", "\u009d", "\u009c", "\x9b", "é", "日", "👍", "\xe6", "\x97", "x", " ", "\x1b[1m", "\x1b]0;t\a",
		}
		in := strings.Join(rapid.SliceOf(rapid.SampledFrom(tokens)).Draw(t, "text"), "")
		var pieces []string
		for rest := in; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		whole := filtered(t, in)
		if cut := filtered(t, pieces...); cut != whole {
			t.Fatalf("%q in pieces %q: %q, whole %q", in, pieces, cut, whole)
		}
		checkFiltered(t, in, whole)
	})
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringOf(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs, unicode.Cf)).Draw(t, "text")
		if got := filtered(t, in); got != in {
			t.Fatalf("%q becomes %q", in, got)
		}
	})
}

func FuzzColourFilter(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m \x1b]52;c;x\x07 \u009b2J \xff"), 3)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		at = min(max(at, 0), len(in))
		whole := filtered(t, string(in))
		if cut := filtered(t, string(in[:at]), string(in[at:])); cut != whole {
			t.Fatalf("%q cut at %d: %q, whole %q", in, at, cut, whole)
		}
		checkFiltered(t, string(in), whole)
	})
}

// The error of the terminal comes back.
func TestColourFilterFails(t *testing.T) {
	closed := errors.New("closed")
	f := console.NewColourFilter(failingWriter{closed})
	if _, err := f.Write([]byte("x")); !errors.Is(err, closed) {
		t.Errorf("write: %v", err)
	}
	if err := f.Close(); !errors.Is(err, closed) {
		t.Errorf("close: %v", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
