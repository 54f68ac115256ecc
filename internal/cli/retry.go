package cli

import (
	"context"
	"fmt"

	"stint.dev/stint/client"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// retry asks for another attempt of a run.
func (p *program) retry() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry [flags] RUN",
		Short: "Ask the waiting agent of a run for another attempt",
		Long: `Ask for another attempt of a run that has ended badly. Only an agent that still waits can
begin one in place: start the job with stint run --retry-wait D for that. For every other
run the answer is the command that starts the job again by hand.`,
		Args: oneRun,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: "the reason, kept with the run"},
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		r, err := c.Retry(ctx, args[0], userName(), opts.Text("why"))
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(r)
		}
		return console.WriteAll(p.Out, fmt.Sprintf("%s is %s: attempt %d begins with the agent's next heartbeat\n",
			console.Clean(runName(r)), r.State, r.Attempt+1))
	})
	return cmd
}
