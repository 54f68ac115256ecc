package command

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/option"
)

// A bad address beside good ones is reported and takes none of them away, wherever the addresses come from.
func TestServerURLs(t *testing.T) {
	const a, b = "http://a.example", "https://b.example"
	for _, c := range []struct {
		args, env string
		good      []string
		bad       []string // beginnings of lines
		refused   string
	}{
		{good: []string{defaultServer}},
		{args: "--server " + a + " --server " + b, env: "http://c", good: []string{a, b}},
		{args: "--server " + b + "," + a, good: []string{b, a}},
		{env: a + "\n" + b + "\n", good: []string{a, b}},
		{env: a + ", " + b, good: []string{a, b}},
		{args: "--server " + a + " --server nonsense", good: []string{a}, bad: []string{"--server: server address"}},
		{env: "ftp://x\n" + a, good: []string{a}, bad: []string{"STINT_SERVER: server address"}},
		{args: "--server nonsense --server ftp://x", refused: "--server: server address"},
		{args: "--server ,", refused: "--server: it names no address"},
	} {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, ServerRows())
		if err := flags.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		env := option.Environment(func(name string) string {
			if name == "STINT_SERVER" {
				return c.env
			}
			return ""
		})
		if err := opts.Resolve(env); err != nil {
			t.Fatal(err)
		}
		api, err := NewClient(opts, "test", "")
		if c.refused != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.refused) {
				t.Errorf("%q, %q: %v, want %q", c.args, c.env, err, c.refused)
			}
			continue
		}
		if err != nil || !slices.Equal(api.URLs(), c.good) || api.URL() != c.good[0] {
			t.Errorf("%q, %q: %v, %v; want %q", c.args, c.env, api, err, c.good)
			continue
		}
		api.Close()
		lines := BadAddresses(opts)
		if len(lines) != len(c.bad) || len(lines) > 0 && (!strings.HasPrefix(lines[0], c.bad[0]) || !strings.HasSuffix(lines[0], "; the other addresses are used")) {
			t.Errorf("%q, %q: reported %q, want %q", c.args, c.env, lines, c.bad)
		}
	}
}
