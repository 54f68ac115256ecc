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

var update = flag.Bool("update", false, "rewrite docs/options.md")

// TestOptionsDoc compares docs/options.md with the option table.
func TestOptionsDoc(t *testing.T) {
	want := `# Options

Each option can be given as a flag or as an environment variable; the flag takes precedence. An environment variable for a
repeatable option contains one value per line. Durations are written like ` + "`90s`, `5m`, `2h`, `1d`" + `,
sizes like ` + "`512M`, `2G`" + ` or in bytes. Options of commands that query or change something (` + "`stint runs --state failed`" + `) have
no environment variable; ` + "`stint COMMAND --help`" + ` lists them.

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
		t.Error("docs/options.md differs from the option table; rewrite it with: go test ./internal/cli -run OptionsDoc -update")
	}
}
