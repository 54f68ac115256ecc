package runcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// cancel asks a run to stop.
func (p *program) cancel() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "cancel [flags] RUN",
		Short: "Ask a run to stop, or take it off the queue",
		Long: `Ask a run to stop. The agent receives the request with its next heartbeat, sends the
job the stop signal, waits for the grace period and then kills the processes that still run. A
queued run ends at once. ` + command.RunHelp + `
Here the name of a job is its only run that has not ended; if there are several, none is stopped.`,
		Args: command.OneRun,
	}, []option.Option{command.WhyRow("the reason, kept with the run")}, func(ctx context.Context, r command.Request) (job.Run, error) {
		run, err := command.FindUnended(ctx, r.Client, r.Args[0])
		if err != nil {
			return job.Run{}, err
		}
		return r.Cancel(ctx, run.ID, command.UserName(), r.Opts.Text("why"))
	}, canceledText)
}

// canceledText reports what the cancellation did.
func canceledText(r job.Run) string {
	name := console.Clean(command.RunName(r))
	switch {
	case r.State.Terminal() && r.Cancel == nil:
		return fmt.Sprintf("%s had ended before: %s\n", name, r.State)
	case r.State.Terminal():
		return fmt.Sprintf("%s has ended: %s\n", name, r.State)
	}
	return fmt.Sprintf("%s is asked to stop; it is %s\n", name, r.State)
}
