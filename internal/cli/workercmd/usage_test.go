package workercmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// A worker that was started wrongly says which option is wrong, and starts nothing.
func TestWrongUse(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct{ args, says string }{
		{"extra", "unexpected argument"},
		{"--slots 0", "--slots: 0 is not a whole number"},
		{"--slots 1.5", "--slots: 1.5 is not a whole number"},
		{"--slots 10001", "--slots: 10001 is not a whole number"},
		{"--name a/b", "--name: worker name"},
		{"--label x", `--label: "x" is not K=V`},
		{"--label =x", `--label: "=x" is not K=V`},
		{"--allow a/b", "--allow: job name"},
		{"--pass-env STINT_TOKEN", "--pass-env: it needs the name of a variable"},
		{"--pass-env A=b", "--pass-env: it needs the name of a variable"},
		{"--definitions . --allow-commands", "choose one"},
		{"--token-file " + missing, "--token-file: stat " + missing},
		{"--server nonsense", "--server: server address"},
		{"--token x", "unknown flag: --token"},
	} {
		state := t.TempDir()
		getenv := func(name string) string { return map[string]string{"STINT_STATE": state}[name] }
		p := &command.Program{Console: &console.Console{In: os.Stdin, Out: os.Stderr, Err: os.Stderr, Getenv: getenv}, Version: "test"}
		cmd := Command(p)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(append([]string{"run"}, strings.Fields(c.args)...))
		err := cmd.ExecuteContext(t.Context())
		var usage *option.UsageError
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.As(err, &usage) && !strings.Contains(c.says, "flag") {
			t.Errorf("worker run %s: %v, want %q", c.args, err, c.says)
		}
		if made, _ := os.ReadDir(state); len(made) > 0 {
			t.Errorf("worker run %s made %v", c.args, made)
		}
	}
}

// What is wrong in a configuration file is refused with its place, unless it is no option of a worker.
func TestMistakesInFiles(t *testing.T) {
	for text, says := range map[string]string{
		"slots = many\n":                        `FILE:1: slots: "many" is not a number`,
		"# a\nlabel = foo\n":                    `FILE:2: label: "foo" is not K=V`,
		"nothing\n":                             "FILE:1: it is not key = value",
		"token-file = none\n":                   "FILE:1: token-file: stat ",
		"sevrer = x\nslots = 0\n":               "FILE:2: slots: 0 is not a whole number",
		"heartbeat-period = soon\nname = a/b\n": "FILE:2: name: worker name",
	} {
		file, state := filepath.Join(t.TempDir(), "agent.conf"), t.TempDir()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		getenv := func(name string) string { return map[string]string{"STINT_STATE": state, "STINT_CONFIG": file}[name] }
		c, _ := clitest.Console(t, getenv)
		cmd := Command(&command.Program{Console: c, Version: "test"})
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs([]string{"run"})
		err := cmd.ExecuteContext(t.Context())
		var usage *option.UsageError
		if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), strings.ReplaceAll(says, "FILE", file)) {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
}

// What systemd hands over is the worker's token, unless a flag or the environment names a file; files for all of the host come last.
func TestTokenOfAWorker(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named, host := write("named", "named\n"), write("host", "host\n")
	write("token", "credentials\n")
	file, both := write("file.conf", "token-file = "+host+"\n"), write("both.conf", "token = text\ntoken-file = host\n")
	text := write("text.conf", "token = text\n")
	for _, c := range []struct {
		want string
		env  map[string]string
		args []string
	}{
		{"", nil, nil},
		{"host", map[string]string{"STINT_CONFIG": file}, nil},
		{"host", map[string]string{"STINT_CONFIG": both}, nil},
		{"text", map[string]string{"STINT_CONFIG": text}, nil},
		{"variable", map[string]string{"STINT_CONFIG": file, "STINT_TOKEN": "variable"}, nil},
		{"named", map[string]string{"STINT_TOKEN": "variable", "STINT_TOKEN_FILE": named}, nil},
		{"named", map[string]string{"STINT_TOKEN": "variable", "CREDENTIALS_DIRECTORY": dir}, []string{"--token-file", named}},
		{"credentials", map[string]string{"STINT_CONFIG": file, "STINT_TOKEN": "variable", "CREDENTIALS_DIRECTORY": dir}, nil},
		{"named", map[string]string{"STINT_TOKEN_FILE": named, "CREDENTIALS_DIRECTORY": dir}, nil},
	} {
		con, _ := clitest.Console(t, func(name string) string { return c.env[name] })
		p := &program{&command.Program{Console: con}}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, RunRows())
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		if err := p.Resolve(opts); err != nil {
			t.Fatal(err)
		}
		got, again, err := p.token(opts)
		if got != c.want || err != nil {
			t.Errorf("%v %v: %q, %v, want %q", c.env, c.args, got, err, c.want)
		}
		if inFile := c.want == "named" || c.want == "credentials" || c.want == "host"; (again != nil) != inFile {
			t.Errorf("%v %v: the token %q is read again: %v", c.env, c.args, got, again != nil)
		} else if inFile {
			if second, err := again(); second != c.want || err != nil {
				t.Errorf("%v %v: read again it is %q, %v", c.env, c.args, second, err)
			}
		}
	}
}
