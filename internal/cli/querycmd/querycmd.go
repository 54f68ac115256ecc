// Package querycmd holds the commands that show runs and jobs or change them: each makes
// requests of a server and prints the reply.
package querycmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

type program struct{ *command.Program }

// Commands returns the commands of this package.
func Commands(c *command.Program) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{
		p.runs(), p.show(), p.logs(), p.cancel(), p.retry(), p.acknowledge(), p.notify(), p.explain(), p.job(), p.policy(),
	}
}

// request is one call of a command: a client of the server, the options and the arguments.
type request struct {
	*client.Client
	opts *option.Set
	args []string
}

// replyCommand completes a command that asks a server and prints the reply: as JSON if --json
// is given, else as text. It has rows as options, besides --json and those of the server.
func replyCommand[T any](p *program, cmd *cobra.Command, rows []option.Option, ask func(context.Context, request) (T, error), text func(T) string) *cobra.Command {
	opts := option.Register(cmd.Flags(), slices.Concat(command.ServerRows(), rows, []option.Option{command.JSONRow()}))
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		reply, err := ask(ctx, request{c, opts, args})
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

// whyRow returns the option with the reason for an action.
func whyRow(help string) option.Option {
	return option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: help}
}

func oneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs one RUN: an id, the first characters of one, or job#number", cmd.CommandPath())
	}
	return nil
}
