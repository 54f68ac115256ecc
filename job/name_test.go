package job_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

func TestCheckName(t *testing.T) {
	long := strings.Repeat("a", job.MaxNameBytes)
	for _, good := range []string{"train", "a b", "nightly.etl-2", "größe", "日本", "a:b=c", "…", "-x", long} {
		if err := job.CheckName(good); err != nil {
			t.Errorf("CheckName(%q): %v", good, err)
		}
	}
	for bad, why := range map[string]string{
		"": "empty", " a": "white space", "a\n": "white space", ".": "path", "..": "path",
		"a/b": `'/'`, `a\b`: `'\\'`, "a#1": `'#'`, "a\x00b": "U+0000", "a\x1b[31mb": "U+001B",
		"a\tb": "U+0009", "a\u202eb": "U+202E", "a\u200bb": "U+200B", "a\xffb": "UTF-8",
		long + "a": "longer than 200 bytes", strings.Repeat("x", 10<<20): "longer",
	} {
		err := job.CheckName(bad)
		var invalid *job.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "job name") {
			t.Errorf("CheckName(%.40q) = %.200v; want it refused for %s", bad, err, why)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("the message for a name of %d bytes has %d bytes", len(bad), len(err.Error()))
		}
	}
}

func TestCheckLabel(t *testing.T) {
	for _, c := range []struct {
		key, value string
		ok         bool
	}{
		{"team", "a", true},
		{"team", "", true},
		{"dir", ".", true},
		{"path", "/srv/data#3", true},
		{"q", "a=b", true},
		{"", "a", false},
		{"a=b", "c", false},
		{"a", "b\nc", false},
		{"a", " b", false},
		{strings.Repeat("k", job.MaxLabelBytes+1), "", false},
		{"k", strings.Repeat("v", job.MaxLabelBytes+1), false},
	} {
		if err := job.CheckLabel(c.key, c.value); (err == nil) != c.ok {
			t.Errorf("CheckLabel(%.20q, %.20q) = %.200v", c.key, c.value, err)
		}
	}
}

// hostile draws strings that are as often broken as whole.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab #/\\'\"$`=;|&\n\t*?[~!é\u202e")), 0, 300, -1),
	)
}

func TestQuoteIsShortAndPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := hostile().Draw(t, "s")
		q := job.Quote(s)
		if len(q) > 60*4+40 || !utf8.ValidString(q) {
			t.Fatalf("Quote gave %d bytes: %q", len(q), q)
		}
		for _, r := range q {
			if !unicode.IsPrint(r) {
				t.Fatalf("Quote(%q) has %U", s, r)
			}
		}
	})
}

const someID = "0198c1f2-7b1c-7cc2-9c2a-0f3d5b6a7e10"

func TestCheckRunID(t *testing.T) {
	if err := job.CheckRunID(someID); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", strings.ToUpper(someID), someID[:35], someID + "a", strings.ReplaceAll(someID, "-", "0"),
		"-" + someID[1:], "../../../../../../../../../etc/passwd",
	} {
		var invalid *job.InvalidError
		if err := job.CheckRunID(bad); !errors.As(err, &invalid) {
			t.Errorf("CheckRunID(%q) = %v", bad, err)
		}
	}
}

// A real shell reads the words back exactly.
func TestCommandLineRoundTrip(t *testing.T) {
	word := rapid.Map(hostile(), func(s string) string { return strings.ReplaceAll(s, "\x00", "") })
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 1, 8).Draw(t, "words")
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+job.CommandLine(words)).Output()
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if diff := cmp.Diff(words, got); diff != "" {
			t.Fatalf("sh read other words (-want +got):\n%s", diff)
		}
	})
}

// The first word is special to a shell: it must stay a command and become neither an
// assignment nor grammar.
func TestCommandLineFirstWord(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"A=b", "if", "while", "time", "select", "x y", "tool-1.2", "done"} {
		script := filepath.Join(dir, name)
		if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s|' \"${0##*/}\" \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", job.CommandLine([]string{name, "K=V", "if"}))
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if want := name + "|K=V|if|"; err != nil || string(out) != want {
			t.Errorf("%s: sh ran %q, %v; want %q", name, out, err, want)
		}
	}
}

func TestCommandLineIsReadable(t *testing.T) {
	for want, words := range map[string][]string{
		"python train.py --epochs=3":   {"python", "train.py", "--epochs=3"},
		`sh -c 'echo "a b"'`:           {"sh", "-c", `echo "a b"`},
		`echo '' 'it'\''s'`:            {"echo", "", "it's"},
		"":                             nil,
		"'A=b' /usr/bin/x 'u@h:~x' if": {"A=b", "/usr/bin/x", "u@h:~x", "if"},
	} {
		if got := job.CommandLine(words); got != want {
			t.Errorf("CommandLine(%q) = %s, want %s", words, got, want)
		}
	}
}
