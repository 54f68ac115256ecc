package option

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

var rows = []Option{
	{Name: "server", Value: "URL", Default: "http://here", Help: "address"},
	{Name: "install", Kind: List, Value: "CMD", Help: "step"},
	{Name: "quiet", Short: "q", Kind: Switch, Help: "hush"},
	{Name: "stop-grace", Kind: Duration, Default: "10s", Help: "grace"},
	{Name: "memory-limit", Kind: Size, Help: "memory"},
	{Name: "cpu-limit", Kind: Number, Help: "cores"},
	{Name: "state", FlagOnly: true, Help: "filter"},
}

// parse resolves rows from flags and an environment.
func parse(t *testing.T, args []string, env map[string]string) (*Set, error) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s := Register(fs, rows)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s, s.Resolve(Environment(func(k string) string { return env[k] }))
}

func TestFlagBeatsEnvironmentBeatsDefault(t *testing.T) {
	s, err := parse(t, nil, nil)
	if err != nil || s.Text("server") != "http://here" || s.Duration("stop-grace") != 10*time.Second || s.Given("server") {
		t.Fatalf("defaults: %v, %q, %v", err, s.Text("server"), s.Duration("stop-grace"))
	}
	env := map[string]string{
		"STINT_SERVER": "http://env", "STINT_INSTALL": "one\ntwo words\n", "STINT_QUIET": "yes",
		"STINT_STATE": "/var/lib/stint", "STINT_MEMORY_LIMIT": "2G", "STINT_CPU_LIMIT": "1.5", "STINT_STOP_GRACE": "1m",
	}
	s, err = parse(t, nil, env)
	if err != nil || s.Text("server") != "http://env" || !s.Given("server") || !s.On("quiet") ||
		!slices.Equal(s.List("install"), []string{"one", "two words"}) || s.Size("memory-limit") != 2<<30 ||
		s.Number("cpu-limit") != 1.5 || s.Given("state") || s.Duration("stop-grace") != time.Minute {
		t.Fatalf("environment: %v", err)
	}
	s, err = parse(t, []string{"--server", "http://flag", "--install", "a", "--install", "b", "--quiet=false", "--stop-grace", "0"}, env)
	if err != nil || s.Text("server") != "http://flag" || !slices.Equal(s.List("install"), []string{"a", "b"}) ||
		s.On("quiet") || s.Duration("stop-grace") != 0 {
		t.Fatalf("flags: %v, %q, %v, %v", err, s.Text("server"), s.List("install"), s.On("quiet"))
	}
}

func TestNonsenseNamesItsPlace(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		says string
	}{
		{[]string{"--stop-grace", "10"}, nil, "--stop-grace"},
		{[]string{"--stop-grace", "-1s"}, nil, "negative"},
		{nil, map[string]string{"STINT_STOP_GRACE": "soon"}, "STINT_STOP_GRACE"},
		{nil, map[string]string{"STINT_QUIET": "maybe"}, "STINT_QUIET"},
		{[]string{"--memory-limit", "lots"}, nil, "--memory-limit"},
		{[]string{"--cpu-limit", "NaN"}, nil, "--cpu-limit"},
	} {
		_, err := parse(t, c.args, c.env)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v %v: got %v, want a usage error that says %q", c.args, c.env, err, c.says)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "0.5d": 12 * time.Hour, "250ms": 250 * time.Millisecond,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "10", "-1s", "1y", "d", "1e9h", "99999999d", "NaNd", "Infd", "-1d"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
	for _, in := range []string{"999999d", "3651d", "87601h"} {
		if got, err := ParseDuration(in); err == nil || !strings.Contains(err.Error(), "more than ten years") {
			t.Errorf("%q: got %v, %v; want an error that says it is too long", in, got, err)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "512M": 512 << 20, "512MiB": 512 << 20, "512mb": 512e6, "1.5G": 3 << 29, "4 GiB": 4 << 30, "10B": 10, "2k": 2048,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "G", "-1M", "1e30G", "0x10", "NaN", "Inf", "12 apples", "1_000", "99999999T"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}
