// Package exitcode says with which code each command ends: it maps errors to codes, and holds the table from
// which help and documentation are made.
package exitcode

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// The codes of commands that ask a server.
const (
	Done    = console.ExitOK
	No      = console.ExitFailed
	Usage   = console.ExitUsage
	Refused = 3
)

// Of returns the exit code of a command that ended with err. cmd is the command that was run; nil for none.
func Of(cmd *cobra.Command, err error) int {
	var exit *console.ExitError
	var usage *option.UsageError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &usage):
		return Usage
	case cmd != nil && GroupOf(cmd).asks:
		return ofRequest(err)
	}
	return console.ExitFailed
}

// ofRequest returns the code of a command that asked a server.
func ofRequest(err error) int {
	var (
		problem     *job.Problem
		unreachable *client.UnreachableError
		foreign     *client.ForeignReplyError
		invalid     *job.InvalidError
		file        *fs.PathError
	)
	switch {
	case errors.As(err, &problem):
		return OfStatus(problem.Status)
	case errors.As(err, &unreachable), errors.As(err, &foreign):
		return Refused
	case errors.As(err, &invalid), errors.As(err, &file):
		return Usage
	}
	return No
}

// OfStatus returns the exit code for the status of a problem that a server answers with.
func OfStatus(status int) int {
	switch status {
	case http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed:
		return No
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestTimeout,
		http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests:
		return Refused
	}
	if status >= 500 {
		return Refused
	}
	return Usage
}
