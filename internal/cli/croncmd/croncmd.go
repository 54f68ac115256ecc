// Package croncmd holds the commands about jobs that cron starts. Both programs have them, so this package must not
// link the server.
package croncmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct {
	*command.Program
	host host
}

// Command returns the command with all others below it.
func Command(c *command.Program) *cobra.Command { return commands(&program{c, thisHost(c)}) }

func commands(p *program) *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "cron",
		Short: "List the jobs of crontabs, and have their runs recorded",
	}, p.list(), p.adopt(), p.release(), p.due())
}
