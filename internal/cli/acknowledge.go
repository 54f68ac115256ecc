package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// acknowledge records that a person knows what is wrong with a run.
func (p *program) acknowledge() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acknowledge [flags] RUN",
		Short: "Acknowledge a run's failure or finding: its notifications are not repeated",
		Long: `Acknowledge what is wrong with a run: its notifications are not repeated, and the overview lists
the run last and does not count it. The run shows who acknowledged it, when and why, until what is
wrong with it changes.`,
		Args: oneRun,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: "a note, kept with the run"},
		option.Option{FlagOnly: true, Name: "undo", Kind: option.Switch, Help: "take the acknowledgement back"},
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		var r job.Run
		var err error
		done := "is acknowledged"
		switch {
		case opts.On("undo") && opts.Text("why") != "":
			return option.Usagef("--why cannot be used with --undo")
		case opts.On("undo"):
			r, err = c.Unacknowledge(ctx, args[0], userName())
			done = "is no longer acknowledged"
		default:
			r, err = c.Acknowledge(ctx, args[0], userName(), opts.Text("why"))
		}
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(r)
		}
		return console.WriteAll(p.Out, fmt.Sprintf("%s %s\n", console.Clean(runName(r)), done))
	})
	return cmd
}

// acknowledgementText says who acknowledged a run, when and why; empty for none.
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
