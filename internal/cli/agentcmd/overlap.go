package agentcmd

import (
	"context"
	"errors"

	"golang.org/x/term"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/overlap"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// overlapRow is the option about other starts of the job.
func overlapRow() option.Option {
	return option.Option{Name: "overlap", Value: "HOW", Default: string(overlap.Allow), Effect: option.Shapes, Check: checkOverlap, Help: "what to do while another run of the job that was started with this option has not ended on this host: allow, skip (do not start, exit code 75) or queue (wait)"}
}

func checkOverlap(text string) error {
	_, err := overlap.ParseMode(text)
	return err
}

// takeLock takes the lock of the job's name, if --overlap asks for that. Without an error the job may start.
func (a *agentProgram) takeLock(ctx context.Context, opts *option.Set, c *agent.Config) (err error) {
	mode := overlap.Mode(opts.Text("overlap"))
	waits := c.Print
	if c.Quiet || !term.IsTerminal(int(a.Err.Fd())) {
		waits = nil
	}
	c.Overlap, err = overlap.Take(ctx, overlap.Config{
		Mode: mode, StateDir: c.StateDir, Job: c.Job, Run: c.Run, OuterRun: a.outerRun(), Host: owner.Host{Name: c.Host, BootID: c.BootID},
		Signals: c.Signals, SuspendSelf: c.SuspendSelf, Print: c.Print, Waits: waits,
	})
	var not *overlap.NotStartedError
	if errors.As(err, &not) {
		return &console.ExitError{Code: not.Code, Signal: not.Die, Err: not}
	}
	return err
}

// outerRun returns the run whose job started this process; "" for none.
func (a *agentProgram) outerRun() string {
	if !command.Nested(a.Getenv) {
		return ""
	}
	return a.Getenv("STINT_RUN_ID")
}
