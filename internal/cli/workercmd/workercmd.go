// Package workercmd holds the commands about workers: run makes one, the others ask a server about
// workers or change them. Both programs have them, so this package must not link the server.
package workercmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct{ *command.Program }

// Command returns the command with all others below it.
func Command(c *command.Program) *cobra.Command {
	p := &program{c}
	return command.Group(&cobra.Command{
		Use:   "worker",
		Short: "Take queued runs on this host, or manage workers",
	}, p.run(), p.list(), p.drain(), p.resume())
}
