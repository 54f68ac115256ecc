package agentcmd

import (
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// flush delivers the journals that wait on this host.
func (a *agentProgram) flush() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flush [flags]",
		Short: "Deliver the journals that wait on this host",
		Long: `Deliver the journals that wait on this host because the server was away when their runs
ended. A run whose agent died is completed first, with what is known of its end.

With --server, everything goes to that server; without it, only what was meant for the server
that STINT_SERVER or the default names. Exit code 1 when a journal could not be delivered.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return option.Usagef("unexpected argument %q: flush takes options only", args[0])
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), append(ServerRows(),
		option.Option{FlagOnly: true, Name: "any", Kind: option.Switch, Help: "deliver also what was meant for another server, or was refused before"},
		option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"},
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(a.Getenv); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		c, err := Client(opts, a.version)
		if err != nil {
			return err
		}
		defer c.Close()
		dir, err := a.StateDir()
		if err != nil {
			return err
		}
		wait := a.Wait("delivering to %s", c.URL())
		report, err := flush.Run(ctx, flush.Config{
			StateDir: dir, Server: c, ServerURL: c.URL(), Any: opts.On("any") || opts.Flagged("server"), BootID: bootID(),
		})
		wait.Done()
		if perr := a.printFlush(report, c.URL(), opts.On("json")); perr != nil {
			return perr
		}
		if err != nil {
			return err
		}
		for _, j := range report.Journals {
			if j.Err != nil {
				return &console.ExitError{Code: console.ExitFailed}
			}
		}
		return nil
	}
	return cmd
}

// flushed is a journal of the report as JSON.
type flushed struct {
	Run       string `json:"run"`
	Attempt   int    `json:"attempt"`
	Job       string `json:"job"`
	Bytes     int64  `json:"bytes"`
	Delivered bool   `json:"delivered"`
	Completed bool   `json:"completed"` // the agent had died; its outcome was added now
	Skipped   string `json:"skipped,omitempty"`
	Error     string `json:"error,omitempty"`
	Path      string `json:"path,omitempty"` // where it waits
}

// hint says how to deliver what was left alone, if it can be.
func (f flushed) hint() string {
	if strings.HasPrefix(f.Skipped, "meant for") || strings.HasPrefix(f.Skipped, "refused") {
		return "; --any delivers it here"
	}
	return ""
}

func (a *agentProgram) printFlush(report flush.Report, server string, asJSON bool) error {
	list := make([]flushed, 0, len(report.Journals))
	for _, j := range report.Journals {
		f := flushed{
			Run: j.Run, Attempt: j.Attempt, Job: j.Job, Bytes: j.Bytes,
			Delivered: j.Delivered, Completed: j.Unfinished, Skipped: j.Skipped,
		}
		if j.Err != nil {
			f.Error = j.Err.Error()
		}
		if !j.Delivered {
			f.Path = j.Path
		}
		list = append(list, f)
	}
	if asJSON {
		return a.PrintJSON(map[string]any{"journals": list})
	}
	if len(list) == 0 {
		a.Say("nothing waits for %s", server)
		return nil
	}
	s := a.StyleFor(a.Out)
	for _, f := range list {
		line := s.Green("✓") + " delivered"
		switch {
		case f.Error != "":
			line = s.Red("✕") + " kept at " + console.Clean(f.Path+": "+f.Error)
		case f.Skipped != "":
			line = s.Muted("left alone: ") + console.Clean(f.Skipped) + f.hint()
		case f.Completed:
			line += ", completed because its agent had died"
		}
		if err := console.WriteAll(a.Out, fmt.Sprintf("%s %s (%s): %s\n", console.Clean(f.Job), f.Run, job.Bytes(f.Bytes), line)); err != nil {
			return err
		}
	}
	return nil
}
