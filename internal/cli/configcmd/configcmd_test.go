package configcmd

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

func ofRun() []option.Option {
	return append(command.ServerRows(),
		option.Option{Name: "label", Kind: option.List, Effect: option.Describes},
		option.Option{Name: "env", Kind: option.List, Effect: option.Shapes},
		option.Option{Name: "timeout", Kind: option.Duration, Effect: option.Shapes},
		option.Option{Name: "heartbeat-period", Kind: option.Duration, Default: "5s", Effect: option.Describes},
		option.Option{Name: "quiet", Kind: option.Switch, Effect: option.Shapes},
		option.Option{Name: "report-to", Effect: option.Connects},
		option.Option{Name: "every", FlagOnly: true},
	)
}

// config runs stint config with a file of this text and an environment.
func config(t *testing.T, text string, env map[string]string, args ...string) (path, stdout, stderr string, err error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "agent.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, printed := clitest.Console(t, func(name string) string {
		if name == "STINT_CONFIG" {
			return path
		}
		return env[name]
	})
	p := &command.Program{Console: c, Version: "test", FileRows: ofRun}
	root := &cobra.Command{Use: "stint"}
	runs := &cobra.Command{Use: "runs", Run: func(*cobra.Command, []string) {}}
	option.Register(runs.Flags(), command.ServerRows())
	connect := func(opts *option.Set) ([]string, error) {
		_, err := command.NewClient(opts, "test", "")
		return nil, err
	}
	run := func(opts *option.Set) ([]string, error) {
		if _, err := connect(opts); err != nil {
			return []string{err.Error() + "; the journal waits"}, nil
		}
		return nil, nil
	}
	root.AddCommand(Command(p, Configured{ofRun, run}, Configured{command.ServerRows, connect}), runs, &cobra.Command{Use: "version", Run: func(*cobra.Command, []string) {}})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(append([]string{"config"}, args...))
	err = root.ExecuteContext(t.Context())
	stdout, stderr = printed()
	return path, stdout, stderr, err
}

// An empty value is shown with its place, and the default that holds for it.
func TestEmptyValues(t *testing.T) {
	path, stdout, _, err := config(t, "label =\nheartbeat-period =\n", nil)
	text := strings.Join(strings.Fields(stdout), " ")
	if err != nil || !strings.Contains(text, "label "+path+":1 (empty)") || !strings.Contains(text, "heartbeat-period "+path+":2 5s") {
		t.Errorf("%v\n%s", err, stdout)
	}
}

const good = "# of this host\nserver = https://stint.example.org\ntoken = stint_s3cret\nlabel = a=b\nlabel = c=d\nenv = DB_PASSWORD=hunter22\nquiet = on\n" +
	"report-to = http://ada:hunter33@h/x\n"

// Each value is shown with its source, and no secret.
func TestValuesAndTheirSources(t *testing.T) {
	path, stdout, stderr, err := config(t, good, map[string]string{"STINT_TIMEOUT": "2h"})
	if err != nil || stderr != "" {
		t.Errorf("%v, %q", err, stderr)
	}
	for _, want := range []string{
		path + " read",
		"server " + path + ":2 https://stint.example.org",
		"token " + path + ":3 [masked]",
		"label " + path + ":4 a=b, c=d",
		"env " + path + ":6 DB_PASSWORD=[masked]",
		"timeout STINT_TIMEOUT 2h",
		"heartbeat-period default 5s",
		"quiet " + path + ":7 on",
		"report-to " + path + ":8 http://ada:[masked]@h/x",
	} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("it does not show %q:\n%s", want, stdout)
		}
	}
	_, asJSON, _, _ := config(t, good, nil, "--json")
	for _, text := range []string{stdout, asJSON} {
		for _, secret := range []string{"s3cret", "hunter", "every"} {
			if strings.Contains(text, secret) {
				t.Errorf("it shows %q:\n%s", secret, text)
			}
		}
	}
}

// Each mistake is shown with its place and what follows from it, and is the exit code.
func TestMistakes(t *testing.T) {
	const text = "sevrer = x\nheartbeat-period = soon\ntimeout = soon\nlabel\ntls-ca = none.pem\n"
	path, stdout, _, err := config(t, text, nil, "--json")
	var exit *console.ExitError
	if !errors.As(err, &exit) || exit.Code != console.ExitFailed || exit.Err != nil {
		t.Errorf("it ended with %v", err)
	}
	var got shown
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range got.Mistakes {
		lines = append(lines, strings.ReplaceAll(m.Place+" "+m.Effect, path, "FILE"))
	}
	want := []string{
		"FILE:4 it is ignored", "FILE:1 it is ignored", "FILE:3: timeout the command is refused",
		"FILE:2: heartbeat-period the default holds, 5s", " ",
	}
	slices.Sort(want)
	slices.Sort(lines)
	if !slices.Equal(lines, want) {
		t.Errorf("mistakes %q, want %q", lines, want)
	}
	path, _, stderr, _ := config(t, text, nil)
	if strings.Count(stderr, "\n") != len(want) || !strings.Contains(stderr, "none.pem: no such file or directory; the journal waits\n") || !strings.Contains(stderr, path+`:1: there is no key "sevrer"; did you mean server?; it is ignored`) {
		t.Errorf("stderr is %q", stderr)
	}
	// Commands that are not stint run refuse all but unknown keys.
	_, _, stderr, err = config(t, "sevrer = x\nlabel\ntls-ca = none.pem\n", nil, "runs")
	if err == nil || strings.Count(stderr, "the command is refused") != 2 || strings.Count(stderr, "it is ignored") != 1 {
		t.Errorf("of stint runs: %v, %q", err, stderr)
	}
}

func TestTokenThatOthersCanRead(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("stint_s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, says := range map[os.FileMode]string{0o640: "", 0o644: "other users can read the token in " + token + "; it is used"} {
		if err := os.Chmod(token, mode); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr, err := config(t, "token-file = "+token+"\n", nil)
		if !strings.Contains(stderr, says) || strings.Count(stderr, "it is used") > 1 || (err == nil) != (says == "") || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("mode %o: %v, %q", mode, err, stderr)
		}
	}
}

func TestInsideOfAJob(t *testing.T) {
	_, stdout, _, err := config(t, good, map[string]string{"STINT_ATTEMPT": "1", "STINT_TIMEOUT": "2h"}, "run")
	text := strings.Join(strings.Fields(stdout), " ")
	if err != nil || !strings.Contains(text, "timeout default") || !strings.Contains(text, "label default") || !strings.Contains(text, "https://stint.example.org") {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestWhichCommand(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"nosuch"}, {"runs", "x"}} {
		_, _, _, err := config(t, "", nil, args...)
		var usage *option.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
