// Package workercmd holds the commands about workers: run makes one, the others ask a server about
// workers or change them. Both programs have them, so this package must not link the server.
package workercmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
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

// Check returns the check of the options of stint worker run: what it would report, and the error with which it would refuse them.
func Check(c *command.Program) func(opts *option.Set) (reports []string, err error) {
	return func(opts *option.Set) ([]string, error) {
		quiet := *c
		quiet.Console = c.Quiet(c.In)
		cfg, err := (&program{&quiet}).config(opts)
		if own, ok := cfg.Server.(*client.Client); ok {
			own.Close()
		}
		return command.BadAddresses(opts), err
	}
}
