package agentcmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// anyText are the options of stint run of which every value makes sense.
var anyText = []string{"script", "install", "print-run"}

// connectionValues are bad values of options about the connection. They keep no job from
// running, which a test of the whole program shows; stint flush refuses them. --report-to is
// an option of run alone.
var connectionValues = map[string][]string{
	"server":     {"::nonsense::", "ftp://host/", "no-url"},
	"token":      {"a\nb", "a\x00"},
	"token-file": {"/nowhere/at/all", "/dev/zero", "/"},
	"tls-ca":     {"/nowhere/at/all"},
	"tls-cert":   {"/nowhere/at/all"}, // and its key is missing
	"tls-key":    {"/nowhere/at/all"},
	"report-to":  nil,
}

// badValues are values of text options that make none. For the other kinds see badOf.
var badValues = map[string][]string{
	"cron":          {"x", "* * * * * *", "0 25 * * *"},
	"zone":          {"Mars"}, // and without --cron
	"job":           {"a/b", "a#b", strings.Repeat("n", 10_000)},
	"install-cache": {"lock"}, // without --cache-dir
	"cache-dir":     {"made"}, // without --install-cache
	"dir":           {"/nowhere/at/all", "/dev/null"},
	"env":           {"NAME", "=value", "A B=c"},
	"redact":        {"A=b", "*", "A B"},
	"no-redact":     {"A=b", "A B"},
	"label":         {"foo", "=bar"},
	"stop-signal":   {"STOP", "15", "TERMINATE"},
	"retries":       {"1.5", "1000000"},
	"containment":   {"docker"},
	"oom-score-adj": {"1001", "-1001", "high", "1.5"},
	"overlap":       {"never", "Skip"},
	"host":          {" ", "a\x01b", strings.Repeat("n", 10_000)},
	"run-id":        {"7", "nightly"},
	"spool-limit":   {"1K"},
}

// badOf are bad values of every option of a kind.
func badOf(o option.Option) []string {
	switch o.Kind {
	case option.Duration:
		return []string{"soon", "10", "-1s", "999999d"}
	case option.Size:
		return []string{"plenty", "-1M", "1e30G"}
	case option.Number:
		return []string{"many", "-1", "NaN"}
	case option.Switch:
		return []string{"perhaps"}
	}
	return nil
}

// execute runs stint-agent in this process; its arguments must be wrong, so that nothing starts.
func execute(t *testing.T, getenv func(string) string, args ...string) (code int, stderr string) {
	t.Helper()
	c, printed := clitest.Console(t, getenv)
	code = Execute(Root(c, nil, "test", "stint", "short", "long"), c, args)
	_, stderr = printed()
	return code, stderr
}

// The table says of every option of stint run what a wrong value of it does.
func TestEveryOptionHasAnEffect(t *testing.T) {
	for _, o := range RunRows() {
		if o.Effect < option.Shapes || o.Effect > option.Connects {
			t.Errorf("--%s has no effect: see option.Effect", o.Name)
		}
		if o.Effect == option.Connects && o.Check != nil {
			t.Errorf("--%s: what leads to a server is checked where the client is made", o.Name)
		}
	}
}

// A bad value of any option ends with exit code 2 and one line that names the option, and
// nothing runs. An option that is not in the tables above fails the test.
func TestBadValueOfEachOption(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	for _, o := range RunRows() {
		if _, ok := connectionValues[o.Name]; ok {
			continue
		}
		bad := slices.Concat(badOf(o), badValues[o.Name])
		if len(bad) == 0 && !slices.Contains(anyText, o.Name) {
			t.Errorf("--%s: what is a bad value of it? Add it to the table of this test", o.Name)
		}
		for _, value := range bad {
			flag := []string{"run", "--" + o.Name + "=" + value, "--", "touch", mark}
			code, stderr := execute(t, func(string) string { return "" }, flag...)
			if code != console.ExitUsage || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--"+o.Name) {
				t.Errorf("--%s=%.40s: exit code %d and %.300q, want 2 and one line that names the option", o.Name, value, code, stderr)
			}
			if o.FlagOnly || o.Effect != option.Shapes { // for the others see the tests of the whole program
				continue
			}
			env := func(name string) string {
				if name == o.Env() {
					return value
				}
				return ""
			}
			code, stderr = execute(t, env, "run", "--", "touch", mark)
			if code != console.ExitUsage || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s=%.40s: exit code %d and %.300q, want 2 and one line", o.Env(), value, code, stderr)
			}
		}
	}
	for _, args := range [][]string{
		{"run"},
		{"run", "--"},
		{"run", "-c", "true", "--", "true"},
		{"run", "-i", "--no-stdin", "--", "true"},
		{"run", "--timout", "3", "--", "true"},
		{"run", "--timeout"},
		{"run", "-z", "--", "true"},
	} {
		if code, stderr := execute(t, func(string) string { return "" }, args...); code != console.ExitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d and %q, want 2 and one line", args, code, stderr)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a job was started")
	}
}

// A bad value about the connection is refused by a command that does nothing without one,
// and the message names where the value came from.
func TestBadConnectionValues(t *testing.T) {
	for name, bad := range connectionValues {
		for _, value := range bad {
			variable := option.Option{Name: name}.Env()
			code, stderr := execute(t, func(string) string { return "" }, "flush", "--"+name+"="+value)
			if code != console.ExitUsage || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "stint: --"+name+": ") {
				t.Errorf("--%s=%q: exit code %d and %q, want 2 and one line that names the option", name, value, code, stderr)
			}
			env := func(n string) string {
				if n == variable {
					return value
				}
				return ""
			}
			code, stderr = execute(t, env, "flush")
			if code != console.ExitUsage || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "stint: "+variable+": ") {
				t.Errorf("%s=%q: exit code %d and %q, want 2 and one line that names the variable", variable, value, code, stderr)
			}
		}
	}
}
