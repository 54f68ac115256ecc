package runcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// acknowledge records that a person knows what is wrong with a run.
func (p *program) acknowledge() *cobra.Command {
	undone := false
	return command.Reply(p.Program, &cobra.Command{
		Use:   "acknowledge [flags] RUN",
		Short: "Acknowledge a run's failure or finding: its notifications are not repeated",
		Long: `Acknowledge the failure or findings of a run: notifications are not repeated, and the overview
lists the run last and does not count it. The run shows who acknowledged it, when and why, until
its problem changes. ` + command.RunHelp,
		Args: command.OneRun,
	}, []option.Option{
		command.WhyRow("a note, kept with the run"),
		{FlagOnly: true, Name: "undo", Kind: option.Switch, Help: "remove the acknowledgement"},
	}, func(ctx context.Context, r command.Request) (job.Run, error) {
		why := r.Opts.Text("why")
		if undone = r.Opts.On("undo"); undone && why != "" {
			return job.Run{}, option.Usagef("--why cannot be used with --undo")
		}
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		switch {
		case err != nil:
			return job.Run{}, err
		case undone:
			return r.Unacknowledge(ctx, run.ID, command.UserName())
		}
		return r.Acknowledge(ctx, run.ID, command.UserName(), why)
	}, func(r job.Run) string {
		done := "is acknowledged"
		if undone {
			done = "is no longer acknowledged"
		}
		return fmt.Sprintf("%s %s\n", console.Clean(command.RunName(r)), done)
	})
}

// acknowledgementText reports who acknowledged a run, when and why; empty for none.
func acknowledgementText(a *job.Acknowledgement, now time.Time) string {
	if a == nil {
		return ""
	}
	text := fmt.Sprintf("by %s %s", a.By, console.Ago(a.At, now))
	if a.Why != "" {
		text += ": " + a.Why
	}
	return text
}
