package runcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// request makes a command that finds a run, and asks the server for something with the name of the user and a reason.
func (p *program) request(cmd *cobra.Command, find func(ctx context.Context, c *client.Client, text string) (job.Run, error),
	ask func(c *client.Client, ctx context.Context, id, by, why string) (job.Run, error), text func(job.Run) string,
) *cobra.Command {
	cmd.Args = command.OneRun
	why := []option.Option{command.WhyRow("the reason, kept with the run")}
	return command.Reply(p.Program, cmd, why, func(ctx context.Context, r command.Request) (job.Run, error) {
		run, err := find(ctx, r.Client, r.Args[0])
		if err != nil {
			return job.Run{}, err
		}
		return ask(r.Client, ctx, run.ID, command.UserName(), r.Opts.Text("why"))
	}, text)
}

// cancel asks a run to stop.
func (p *program) cancel() *cobra.Command {
	return p.request(&cobra.Command{
		Use:   "cancel [flags] RUN",
		Short: "Ask a run to stop, or remove it from the queue",
		Long: `Ask a run to stop. The agent receives the request with its next heartbeat, sends the
job the stop signal, waits for the grace period and then kills the processes that still run. A
queued run ends at once. ` + command.RunHelp + `
Here the name of a job is its only run that has not ended; if there are several, none is stopped.`,
	}, command.FindUnended, (*client.Client).Cancel, canceledText)
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

// retry asks for another attempt of a run.
func (p *program) retry() *cobra.Command {
	return p.request(&cobra.Command{
		Use:   "retry [flags] RUN",
		Short: "Ask for another attempt of a run that has ended badly",
		Long: `Ask for another attempt of a run that ended badly. A submitted run returns to the queue with the
values that it had; stint submit --again submits a new run instead. A run that was started by
hand needs an agent that still waits: start the job with stint run --retry-wait D for that.
Otherwise the command prints how to start the job again by hand. ` + command.RunHelp,
	}, command.FindRun, (*client.Client).Retry, retriedText)
}

// retriedText says when the attempt that was asked for begins.
func retriedText(r job.Run) string {
	begins := "begins with the agent's next heartbeat"
	if r.Submitted != nil {
		begins = "waits for a worker"
	}
	return fmt.Sprintf("%s is %s: attempt %d %s\n", console.Clean(command.RunName(r)), r.State, r.Attempt+1, begins)
}
