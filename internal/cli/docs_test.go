package cli

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/cli/servercmd"
	"stint.dev/stint/internal/cli/workercmd"
)

var update = flag.Bool("update", false, "rewrite the documents that are made from the program")

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
	sameDoc(t, "options.md", want)
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
