package agentcmd

import (
	"errors"
	"strings"

	"stint.dev/stint/internal/agent/process"
)

// protect keeps the job, and other processes of its user, from reading the token out of this
// process: its memory and environment are closed to them, and for root, who may read all of
// it, the environment at least shows none. A system that refuses that runs the job all the
// same, as documented in docs/secrets.md.
func protect() {
	_ = process.Protect()
	_ = process.HideVariables("STINT_TOKEN", "STINT_REPORT_TO")
}

// variableName refuses what is no name of a variable.
func variableName(text string) error {
	if text == "" || text == "*" || strings.ContainsAny(text, "= \t\r\n") {
		return errors.New("it needs the name of a variable, as in DB_PASSWORD")
	}
	return nil
}

// anyVariableName takes * for all of them, too.
func anyVariableName(text string) error {
	if text == "*" {
		return nil
	}
	return variableName(text)
}
