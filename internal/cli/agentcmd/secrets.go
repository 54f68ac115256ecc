package agentcmd

import (
	"strings"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
)

// protect keeps the job, and other processes of its user, from reading the token out of this
// process: its memory and environment are closed to them, and for root, who may read all of
// it, the environment at least shows none. A system that refuses that runs the job all the
// same, as documented in docs/secrets.md.
func protect() {
	_ = process.Protect()
	_ = process.HideVariables("STINT_TOKEN", "STINT_REPORT_TO")
}

// variableNames returns the names that an option lists.
func variableNames(opts *option.Set, name string) ([]string, error) {
	names := opts.List(name)
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, "= \t\r\n") || n == "*" && name != "no-redact" {
			return nil, option.Usagef("--%s needs the name of a variable, as in --%s DB_PASSWORD", name, name)
		}
	}
	return names, nil
}
