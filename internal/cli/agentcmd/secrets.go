package agentcmd

import (
	"os"
	"strings"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
)

// hideToken takes a token that was given as an argument out of the process listing. For the
// first moments of the program it was there: STINT_TOKEN never is.
func hideToken(token string) {
	if token == "" {
		return
	}
	for _, arg := range os.Args[1:] {
		if value, _ := strings.CutPrefix(arg, "--token="); value == token {
			process.HideArgument(arg, len(arg)-len(value))
		}
	}
}

// variableNames are the names that an option lists.
func variableNames(opts *option.Set, name string) ([]string, error) {
	names := opts.List(name)
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, "= \t\r\n") || n == "*" && name != "no-redact" {
			return nil, option.Usagef("--%s wants the name of a variable, as in --%s DB_PASSWORD", name, name)
		}
	}
	return names, nil
}
