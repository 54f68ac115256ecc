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

// retry asks for another attempt of a run.
func (p *program) retry() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "retry [flags] RUN",
		Short: "Ask for another attempt of a run that has ended badly",
		Long: `Ask for another attempt of a run that has ended badly. One that was submitted waits in the queue for
a worker again, with the values that it had; stint submit --again makes another run instead. Of one
that was started by hand only an agent that still waits can begin another attempt: start the job
with stint run --retry-wait D for that. For other runs the answer is the command that starts the job
again by hand. ` + command.RunHelp,
		Args: command.OneRun,
	}, []option.Option{command.WhyRow("the reason, kept with the run")}, func(ctx context.Context, r command.Request) (job.Run, error) {
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		if err != nil {
			return job.Run{}, err
		}
		return r.Retry(ctx, run.ID, command.UserName(), r.Opts.Text("why"))
	}, retriedText)
}

// retriedText says when the attempt that was asked for begins.
func retriedText(r job.Run) string {
	begins := "begins with the agent's next heartbeat"
	if r.Submitted != nil {
		begins = "waits for a worker"
	}
	return fmt.Sprintf("%s is %s: attempt %d %s\n", console.Clean(command.RunName(r)), r.State, r.Attempt+1, begins)
}
