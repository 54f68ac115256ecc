// Package clitest runs commands for tests.
package clitest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/console"
)

// Console returns a console that is connected to empty files, with an environment, and a function that
// returns what was printed on it.
func Console(t *testing.T, getenv func(string) string) (c *console.Console, printed func() (stdout, stderr string)) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	read := func(f *os.File) string {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	c = &console.Console{In: open("in"), Out: open("out"), Err: open("err"), Getenv: func(name string) string {
		if value := getenv(name); value != "" || name != configfile.Variable {
			return value
		}
		return os.DevNull // no configuration of this host
	}}
	return c, func() (stdout, stderr string) { return read(c.Out), read(c.Err) }
}

// Ask runs a command that asks a server, and returns what it printed.
func Ask(t *testing.T, server http.Handler, newCommand func(*console.Console) *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	s := httptest.NewServer(server)
	defer s.Close()
	c, printed := Console(t, func(name string) string {
		if name == "STINT_SERVER" {
			return s.URL
		}
		return ""
	})
	cmd := newCommand(c)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	stdout, stderr = printed()
	return stdout, stderr, err
}

// Answer writes the reply of a server.
func Answer(t *testing.T, w http.ResponseWriter, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	Encode(t, w, v)
}

// Encode writes a value as JSON.
func Encode(t *testing.T, w io.Writer, v any) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}
