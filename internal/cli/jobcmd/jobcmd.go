// Package jobcmd holds the commands that show jobs or change them: their policies, and when they are expected
// to start. Each makes requests of a server and prints the reply.
package jobcmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct{ *command.Program }

// Commands returns the commands of this package. Those below the command job are joined with ofJobs.
func Commands(c *command.Program, ofJobs ...*cobra.Command) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{p.job(ofJobs), p.jobs(), p.policy()}
}
