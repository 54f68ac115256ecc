package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/console"
)

// stint runs stint with args in this process; what it needs of a server must fail before.
func stint(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c, printed := clitest.Console(t, func(string) string { return "" })
	code = agentcmd.Execute(newRoot(c, nil, "test"), c, args)
	stdout, stderr = printed()
	return code, stdout, stderr
}

// TestWrongUseExitsWith2 holds the messages of a command used wrongly: what, and what to do.
func TestWrongUseExitsWith2(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"bogus", `no command "bogus"`},
		{"lgos x", `no command "lgos"; did you mean logs?`},
		{"job shwo", "did you mean show?"},
		{"help bogus", `no command "bogus"`},
		{"help job bogus", `no command "bogus" below stint job`},
		{"help show x", `stint show has no commands below it`},
		{"runs --stat failed", "--stat; did you mean --state?"},
		{"--json runs", "they follow the command, as in stint runs --json"},
		{"run --job x -x true", "put -- before that"},
		{"job list", `no command "list" below stint job; stint job --help`},
		{"notify bogus", `no command "bogus" below stint notify`},
		{"server backup", "needs one DIR"},
		{"server extra", `there is no command "extra" below stint server`},
		{"server bakcup", `did you mean backup`},
		{"runs --label x", `--label: "x" is not K=V`},
		{"runs --limit 0", "--limit: 0"},
		{"runs --bogus", "stint runs --help lists the options"},
		{"token revoke", "by its ID or its NAME"},
		{"show", "needs one RUN"},
		{"apply", "needs a FILE or DIR"},
		{"apply x --prune", "--source NAME"},
		{"diff", "needs the NAME of one job"},
		{"job pause", "needs the NAME of one job"},
		{"submit", "needs the JOB to run, or -- COMMAND"},
		{"wait", "needs one RUN"},
		{"queue bogus", `no command "bogus" below stint queue`},
		{"queue move", "needs one RUN"},
		{"group set", "needs the NAME of one group"},
		{"worker drain", "needs the NAME of one worker"},
	} {
		code, _, stderr := stint(t, strings.Fields(c.args)...)
		if code != console.ExitUsage || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("stint %s: exit code %d and %q, want 2 and one line with %q", c.args, code, stderr, c.says)
		}
	}
}

// The help of a command that runs lists its options, also if there are commands below it.
func TestHelpListsOptions(t *testing.T) {
	for args, c := range map[string]struct{ has, not []string }{
		"server --help": {[]string{"stint server [flags]", "stint server COMMAND [flags]", "--listen", "backup  "}, nil},
		"run --help":    {[]string{"stint run [flags]", "--retries"}, []string{"COMMAND [flags]\n"}},
		"cache --help":  {[]string{"stint cache COMMAND [flags]", "prune  "}, []string{"stint cache [flags]", "Flags:"}},
		"--help":        {[]string{"stint COMMAND [flags]", "server  "}, []string{"stint [flags]", "Flags:"}},
	} {
		code, stdout, stderr := stint(t, strings.Fields(args)...)
		if code != 0 || stderr != "" {
			t.Errorf("stint %s: exit code %d, %q", args, code, stderr)
		}
		for _, want := range c.has {
			if !strings.Contains(stdout, want) {
				t.Errorf("stint %s does not name %q:\n%s", args, want, stdout)
			}
		}
		for _, not := range c.not {
			if strings.Contains(stdout, not) {
				t.Errorf("stint %s names %q:\n%s", args, not, stdout)
			}
		}
	}
}

func TestAMistypedDataDirectoryIsNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mistyped")
	for _, args := range [][]string{
		{"server", "check", "--data", dir},
		{"server", "backup", "--data", dir, filepath.Join(t.TempDir(), "copy")},
	} {
		code, stdout, stderr := stint(t, args...)
		if code == 0 || stdout != "" || !strings.Contains(stderr, "no server has worked in "+dir) {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%v made the directory", args)
		}
	}
}

func TestCommandsStandInTwoColumns(t *testing.T) {
	_, stdout, _ := stint(t, "--help")
	_, stdout, _ = strings.Cut(stdout, "Commands:\n")
	at := -1
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+ +)\S`).FindAllStringSubmatch(stdout, -1) {
		if at >= 0 && len(m[1]) != at {
			t.Errorf("%q ends at column %d, the ones before at %d", m[1], len(m[1]), at)
		}
		at = len(m[1])
	}
	if at < 0 {
		t.Fatal("no command is listed")
	}
}

// TestPasswordsInAddressesAreRefused: the log, replies and links would show them, and the
// refusal does not.
func TestPasswordsInAddressesAreRefused(t *testing.T) {
	for _, flag := range []string{"--public-url", "--oidc-issuer"} {
		for _, address := range []string{"https://user:s3cret@stint.example.org", "https://s3cret@stint.example.org", "https://user:s3%zzcret@stint.example.org"} {
			code, stdout, stderr := stint(t, "server", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:99999", flag, address)
			if code != console.ExitUsage || !strings.Contains(stderr, flag+": the address holds a user or password") || strings.Contains(stdout+stderr, "s3") {
				t.Errorf("%s %s: exit code %d and %q, want 2 and a refusal that does not repeat it", flag, address, code, stderr)
			}
		}
	}
}
