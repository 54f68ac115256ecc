package workercmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
