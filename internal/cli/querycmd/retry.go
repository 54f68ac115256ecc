package querycmd

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
	return replyCommand(p, &cobra.Command{
		Use:   "retry [flags] RUN",
		Short: "Ask the waiting agent of a run for another attempt",
		Long: `Ask for another attempt of a run that has ended badly. Only an agent that still waits can
begin one in place: start the job with stint run --retry-wait D for that. For every other
run the answer is the command that starts the job again by hand.`,
		Args: oneRun,
	}, []option.Option{whyRow("the reason, kept with the run")}, func(ctx context.Context, r request) (job.Run, error) {
		return r.Retry(ctx, r.args[0], command.UserName(), r.opts.Text("why"))
	}, func(r job.Run) string {
		return fmt.Sprintf("%s is %s: attempt %d begins with the agent's next heartbeat\n", console.Clean(runName(r)), r.State, r.Attempt+1)
	})
}
