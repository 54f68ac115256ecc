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
// else as text. It has rows as options, besides --json and those of the server. A reply with a method More says with it
// on stderr that there is more than was printed.
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
		if err := console.WriteAll(p.Out, text(reply)); err != nil {
			return err
		}
		if page, ok := any(reply).(interface{ More() string }); ok && page.More() != "" {
			p.Say("%s", page.More())
		}
		return nil
	})
	return cmd
}
