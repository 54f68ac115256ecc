package command

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// Request is one call of a command: a client of the server, the options and the arguments.
type Request struct {
	*client.Client
	Opts *option.Set
	Args []string
}

// Reply completes a command that asks a server and prints the reply: as JSON if --json is given,
// else as text. It has rows as options, besides --json and those of the server.
func Reply[T any](p *Program, cmd *cobra.Command, rows []option.Option, ask func(context.Context, Request) (T, error), text func(T) string) *cobra.Command {
	opts := option.Register(cmd.Flags(), slices.Concat(ServerRows(), rows, []option.Option{JSONRow()}))
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		reply, err := ask(ctx, Request{c, opts, args})
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(reply)
		}
		return console.WriteAll(p.Out, text(reply))
	})
	return cmd
}
