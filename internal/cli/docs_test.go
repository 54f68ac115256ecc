package cli

import (
	"flag"
	"os"
	"testing"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/cli/servercmd"
	"stint.dev/stint/internal/cli/workercmd"
)

var update = flag.Bool("update", false, "write docs/options.md anew")

// TestOptionsDoc holds docs/options.md to the option table.
func TestOptionsDoc(t *testing.T) {
	want := `# Options

Each option can be given as a flag or in the environment; the flag wins. A repeatable option
is in the environment with one value a line. Durations are written like ` + "`90s`, `5m`, `2h`, `1d`" + `,
sizes like ` + "`512M`, `2G`" + ` or in bytes. Options of single questions (` + "`stint runs --state failed`" + `) have
no name in the environment; ` + "`stint COMMAND --help`" + ` lists them.

The agent keeps its spool and caches under ` + "`STINT_STATE`" + ` (default: ` + "`$XDG_STATE_HOME/stint`" + `, for root
` + "`/var/lib/stint`, else `~/.local/state/stint`" + `).

## stint run

` + option.Markdown(agentcmd.RunRows()) + `
## stint worker run

` + option.Markdown(workercmd.RunRows()) + `
## stint server

` + option.Markdown(servercmd.Rows())
	const file = "../../docs/options.md"
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
		t.Error("docs/options.md does not stand as the option table has it; write it anew with: go test ./internal/cli -run OptionsDoc -update")
	}
}
