package agentcmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

// What completes the journal of an agent that died reads the file with the token again, or gets the token: the one that counts.
func TestFinishHasTheToken(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--token x":                 "STINT_TOKEN=x",
		"--token-file f":            "STINT_TOKEN_FILE=" + filepath.Join(dir, "f"),
		"--token x --token-file /f": "STINT_TOKEN_FILE=/f",
	} {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, command.ServerRows())
		if err := flags.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := opts.Resolve(); err != nil {
			t.Fatal(err)
		}
		finish, err := finishOf(opts, "/state")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for kv := range strings.SplitSeq(string(finish.Settings), "\x00") {
			if strings.HasPrefix(kv, "STINT_TOKEN") {
				got = append(got, kv)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", args, got, want)
		}
	}
}
