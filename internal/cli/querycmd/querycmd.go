// Package querycmd holds the commands that show runs and jobs or change them: each makes
// requests of a server and prints the reply.
package querycmd

import (
	"context"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

type program struct{ *command.Program }

// Commands returns the commands of this package. Those below the command job are joined with
// ofJobs.
func Commands(c *command.Program, ofJobs ...*cobra.Command) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{
		p.runs(), p.show(), p.logs(), p.cancel(), p.retry(), p.acknowledge(), p.notify(), p.explain(), p.job(ofJobs), p.policy(),
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
	return command.Reply(p.Program, cmd, rows, func(ctx context.Context, r command.Request) (T, error) {
		return ask(ctx, request{r.Client, r.Opts, r.Args})
	}, text)
}

// whyRow returns the option with the reason for an action.
func whyRow(help string) option.Option {
	return option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: help}
}

// find returns a reference to the run that the argument names.
func (r request) find(ctx context.Context) (string, error) {
	return command.FindRun(ctx, r.Client, r.args[0])
}
