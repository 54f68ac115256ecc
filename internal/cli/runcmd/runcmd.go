// Package runcmd holds the commands that show runs or change them: each makes requests of a server and
// prints the reply.
package runcmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct{ *command.Program }

// Commands returns the commands of this package.
func Commands(c *command.Program) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{p.runs(), p.show(), p.logs(), p.cancel(), p.retry(), p.acknowledge(), p.explain(), p.events()}
}
