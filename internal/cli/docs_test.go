package cli

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/example"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/manual"
	"stint.dev/stint/internal/cli/option"
)

var update = flag.Bool("update", false, "rewrite the documents that are made from the program")

// TestCommandsDoc compares docs/commands.md with the commands and their options.
func TestCommandsDoc(t *testing.T) {
	programs := Programs("")
	var agent []string
	for _, cmd := range programs[1].Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "help" {
			agent = append(agent, "`"+cmd.Name()+"`")
		}
	}
	sameDoc(t, "commands.md", `# Commands

Every command of `+"`stint`, with its options and exit codes; `stint COMMAND --help` and the manual pages (`man stint-run`) say the same."+`
`+"`stint-agent` has "+strings.Join(agent, ", ")+`.

An option with a name in the column *environment* can be set by that variable too, and, but for those of `+"`stint server`"+`, by a line of a
[configuration file](configuration.md), whose key is the name of the option without the leading dashes. The flag takes precedence over the variable, and that over
files. A variable for a repeatable option contains one value per line. Durations are written like `+"`90s`, `5m`, `2h`, `1d`"+`, sizes like `+"`512M`, `2G`"+` or in bytes.

The agent keeps its spool and caches under `+"`STINT_STATE`"+` (default: `+"`/var/lib/stint` for root, else `$XDG_STATE_HOME/stint`"+`
or `+"`~/.local/state/stint`"+`).

`+manual.Markdown(programs[0], []manual.Shared{
		{Options: command.ServerRows(), Link: "Also the [options of the connection](#options-of-the-connection)."},
		{Text: command.RunHelp, Link: "[RUN](running.md#which-run) names a run."},
	})+`
## Options of the connection

Every command that asks a server has them.

`+option.Markdown(command.ServerRows()))
}

// Every command that is run has an example, and every example a command.
func TestExamples(t *testing.T) {
	known := map[string]bool{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		known[path] = true
		if cmd.IsAvailableCommand() && !cmd.HasSubCommands() && cmd.Name() != "help" && cmd.Example == "" {
			t.Errorf("%s has no example: internal/cli/example has them", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(Programs("")[0])
	for path := range example.Lines() {
		if !known[path] {
			t.Errorf("there is an example of stint %s, and no such command", path)
		}
	}
}

// TestExitCodesDoc compares docs/exit-codes.md with the table of exit codes.
func TestExitCodesDoc(t *testing.T) {
	statuses := "| the server answers | exit code |\n|---|---|\n"
	for _, s := range []int{400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 421, 422, 429, 500, 501, 503} {
		statuses += fmt.Sprintf("| %d %s | %d |\n", s, http.StatusText(s), exitcode.OfStatus(s))
	}
	sameDoc(t, "exit-codes.md", `# Exit codes

Each command names its exit codes in `+"`stint COMMAND --help`"+`. Errors are one line on stderr, which says what was tried, on what, and what to do.

Commands that ask a server distinguish *no* from *could not ask*, so that a script need not read the message:

`+"```sh"+`
stint logs nightly --grep '^ERROR'
case $? in
0) echo "it printed errors" ;;
1) echo "it did not" ;;
*) echo "nobody knows" ;;
esac
`+"```"+`

What the server answers decides as follows; no answer, and an answer that is not one of a Stint server, are 3.

`+statuses+`
`+exitcode.Markdown())
}

// TestConfigurationDoc compares what docs/configuration.md says of wrong values with the option table.
func TestConfigurationDoc(t *testing.T) {
	names := map[option.Effect]string{}
	for _, o := range agentcmd.RunRows() {
		if !o.FlagOnly {
			names[o.Effect] += ", `" + o.Name + "`"
		}
	}
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(doc)), " ")
	for effect, before := range map[option.Effect]string{option.Shapes: "decides how the job runs: ", option.Describes: "in the environment or a file, of ", option.Connects: "wherever it comes from, of "} {
		if want := before + strings.TrimPrefix(names[effect], ", "); !strings.Contains(text, want) {
			t.Errorf("docs/configuration.md does not say %q", want)
		}
	}
}

// The configuration file of the packages has no mistakes with its lines taken out of the comments.
func TestConfigurationOfPackages(t *testing.T) {
	sample, err := os.ReadFile("../../deploy/packages/agent.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^#([a-z-]+ = )`).ReplaceAll(sample, []byte("$1"))
	file := filepath.Join(t.TempDir(), "agent.conf")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"../../deploy/packages/agent.conf": 0, file: 2} {
		files := configfile.Paths(func(string) string { return name }, "")
		files.Read(time.Minute)
		if wrong := files.Keep(agentcmd.FileRows); len(wrong) > 0 {
			t.Error(wrong)
		}
		found := 0
		for _, o := range agentcmd.RunRows() {
			values := files[0].Settings(o)
			found += len(values)
			for _, v := range values {
				if o.Check != nil && o.Check(v.Text) != nil {
					t.Errorf("%s: %v", v.Place, o.Check(v.Text))
				}
			}
		}
		if found != want {
			t.Errorf("%s sets %d options, want %d", name, found, want)
		}
	}
}

// sameDoc compares a document with what it must contain, or writes it.
func sameDoc(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join("../../docs", name)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("docs/%s differs from the program; rewrite it with: go test ./internal/cli -run Doc -update", name)
	}
}
