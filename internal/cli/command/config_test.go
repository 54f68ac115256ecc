package command

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/option"
)

// resolved returns the options of the connection from flags, an environment of NAME=VALUE and the text of a file.
func resolved(t *testing.T, args, env, text string) *option.Set {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	files := configfile.Paths(func(string) string { return file }, "")
	files.Read(FileLimit)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	opts := option.Register(flags, ServerRows())
	if err := flags.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		for _, kv := range strings.Fields(env) {
			if value, found := strings.CutPrefix(kv, name+"="); found {
				return value
			}
		}
		return ""
	}
	if err := opts.Resolve(option.Environment(getenv), files[0]); err != nil {
		t.Fatal(err)
	}
	return opts
}

// Of a token and a file with one the one of higher precedence counts, and the file if both are given in one place.
func TestToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, empty, twoLines := write("a", "\tfrom-file \r\n"), write("empty", " \n"), write("two", "one\ntwo\n")
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, env, text, want, err string }{
		{"", "", "", "", ""},
		{"--token x --token-file " + a, "", "", "from-file", ""},
		{"", "STINT_TOKEN=x STINT_TOKEN_FILE=" + a, "", "from-file", ""},
		{"", "", "token = x\ntoken-file = " + a, "from-file", ""},
		{"--token x", "STINT_TOKEN_FILE=" + a, "", "x", ""},
		{"--token-file " + a, "STINT_TOKEN=x", "", "from-file", ""},
		{"", "STINT_TOKEN=x", "token-file = " + a, "x", ""},
		{"", "STINT_TOKEN_FILE=" + a, "token = x", "from-file", ""},
		{"", "", "token = x", "x", ""},
		{"--token-file " + empty, "STINT_TOKEN=x", "", "", "--token-file: there is no token in " + empty},
		{"", "STINT_TOKEN_FILE=" + twoLines, "", "", "STINT_TOKEN_FILE: a token has only printable ASCII characters"},
		{"--token-file " + fifo, "", "", "", "it is not a regular file"},
		{"--token-file /dev/zero", "", "", "", "it is not a regular file"},
		{"--token-file " + dir, "", "", "", "it is a directory"},
		{"--token-file " + dir + "/none", "", "token = x", "", "no such file"},
	} {
		got, err := Token(resolved(t, c.args, c.env, c.text))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s, %s, %q: %q, %v; want %q, %s", c.args, c.env, c.text, got, err, c.want, c.err)
		}
	}
}

// A token in a file that others can read is reported, if that is the one that is used.
func TestExposed(t *testing.T) {
	open, closed := filepath.Join(t.TempDir(), "open"), filepath.Join(t.TempDir(), "closed")
	for path, mode := range map[string]os.FileMode{open: 0o604, closed: 0o640} {
		if err := os.WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, text string
		exposed    bool
	}{
		{"", "", false},
		{"", "server = http://h", false},
		{"", "token = x", true},
		{"", "token =", false},
		{"--token y", "token = x", false},
		{"", "token-file = " + open, true},
		{"", "token-file = " + closed, false},
		{"--token-file " + open, "token = x", true},
		{"--token-file " + closed, "token = x", false},
		{"--token-file /dev/zero", "", false},
		{"--token-file /nowhere/at/all", "", false},
	} {
		if got := Exposed(resolved(t, c.args, "", c.text)); (got != "") != c.exposed || strings.Contains(got, "\n") {
			t.Errorf("%s, %q: %q", c.args, c.text, got)
		}
	}
}
