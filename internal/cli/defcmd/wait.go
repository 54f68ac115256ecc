package defcmd

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/await"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// wait waits for the ends of runs.
func (p *program) wait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait [flags] RUN…",
		Short: "Wait for the end of runs, and end with the exit code",
		Long: `Wait until runs have ended, also across retries and outages of the server, and exit as stint run
would have; with 125 for a run that is lost or never started. With several runs the exit code is
0 if all of them ended with 0, and otherwise the first other code in the order of the arguments.
Ctrl-C ends the waiting, not the runs. ` + command.RunHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return command.OneRun(cmd, args)
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), slices.Concat(command.ServerRows(), []option.Option{
		{FlagOnly: true, Name: "timeout", Kind: option.Duration, Value: "D", Help: "wait for this long at most; then end with 124, and let the runs go on"},
		command.JSONRow(),
	}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.Client(opts)
		if err != nil {
			return err
		}
		defer c.Close()
		o := await.Options{JSON: opts.On("json"), Timeout: opts.Duration("timeout")}
		if opts.Given("timeout") && o.Timeout <= 0 {
			return option.Usagef("--timeout: %s is no time to wait for", opts.Text("timeout"))
		}
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		return await.Named(ctx, p.Console, c, args, o, func(ctx context.Context, text string) (job.Run, error) {
			return command.FindRun(ctx, c, text)
		})
	}
	return cmd
}
