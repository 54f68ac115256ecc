package cli

import (
	"context"
	"fmt"
	"os/user"

	"stint.dev/stint/client"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// cancel asks for a run to be stopped.
func (p *program) cancel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel [flags] RUN",
		Short: "Ask a run to stop",
		Long: `Ask a run to stop. The agent hears it with its next heartbeat, sends the job the stop
signal, waits for the grace and then kills what is left.`,
		Args: oneRun,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: "the reason, kept with the run"},
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		r, err := c.Cancel(ctx, args[0], userName(), opts.Text("why"))
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(r)
		}
		return console.WriteAll(p.Out, canceledText(r))
	})
	return cmd
}

// userName is who asks; an unknown one is nobody's error.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return "the command line"
	}
	return u.Username
}

// canceledText says whether there was anything to stop.
func canceledText(r job.Run) string {
	name := console.Clean(runName(r))
	switch {
	case r.State.Terminal() && r.Cancel == nil:
		return fmt.Sprintf("%s had ended before: %s\n", name, r.State)
	case r.State.Terminal():
		return fmt.Sprintf("%s has ended: %s\n", name, r.State)
	}
	return fmt.Sprintf("%s is asked to stop; it is %s\n", name, r.State)
}
