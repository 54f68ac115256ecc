package defcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// detached is the exit code after Ctrl-C, as a shell reports it.
const detached = 130

// wait waits for the end of a run.
func (p *program) wait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait [flags] RUN",
		Short: "Wait for the end of a run, and end with its exit code",
		Long: `Wait for the end of a run, also across its retries, and end with its exit code as stint run does;
125 for a run that never started. Ctrl-C ends the waiting, not the run. ` + command.RunHelp,
		Args: command.OneRun,
	}
	opts := option.Register(cmd.Flags(), slices.Concat(command.ServerRows(), []option.Option{command.JSONRow()}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.Client(opts)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		run, err := command.FindRun(ctx, c, args[0])
		if err != nil {
			return err
		}
		return p.await(ctx, c, run, awaitOptions{json: opts.On("json")})
	}
	return cmd
}

// awaitOptions are how to wait.
type awaitOptions struct {
	follow bool // print what the run prints
	json   bool // print the run at its end
}

// await waits for the end of a run. Its error has the exit code of the run.
func (p *program) await(ctx context.Context, c *client.Client, run job.Run, o awaitOptions) error {
	out := p.LogWriter(false)
	f := &watcher{run: run, out: bufio.NewWriterSize(out, 64<<10), say: p.Say, quiet: o.json}
	f.begin()
	err := c.Follow(ctx, run.ID, client.LogQuery{NoOutput: !o.follow}, f.event, func(why error) {
		p.Say("%v; waiting for the server", why)
	})
	err = errors.Join(err, f.out.Flush(), out.Close())
	if ctx.Err() != nil {
		p.Say("%s goes on without this command; it is canceled with: stint cancel %s", runName(run), run.ID)
		return &console.ExitError{Code: detached}
	}
	if err != nil {
		return err
	}
	if run, err = c.Run(ctx, run.ID); err != nil {
		return err
	}
	if o.json {
		if err := p.PrintJSON(run); err != nil {
			return err
		}
	}
	return p.ended(run)
}

// ended says how a run ended, if it did not succeed, and returns its exit code.
func (p *program) ended(run job.Run) error {
	code := exitCode(run)
	if run.State != job.Succeeded {
		p.Say("%s", endedText(run))
	}
	if code == 0 {
		return nil
	}
	return &console.ExitError{Code: code}
}

// exitCode is that of a run that ended, by the contract of stint run.
func exitCode(run job.Run) int {
	if neverStarted(run) || run.Outcome == nil {
		return console.ExitNoStart
	}
	code, _ := exit.Of(*run.Outcome, exit.End{})
	return code
}

// watcher prints what happens to a run.
type watcher struct {
	run   job.Run
	out   *bufio.Writer
	say   func(format string, args ...any)
	quiet bool
}

func (w *watcher) begin() {
	if !w.quiet && !w.run.State.Terminal() {
		w.say("%s is %s", runName(w.run), w.run.State)
	}
}

// event takes one live event.
func (w *watcher) event(ev client.StreamEvent) error {
	switch ev.Type {
	case "run":
		var now job.Run
		if err := json.Unmarshal(ev.Data, &now); err != nil {
			return fmt.Errorf("live event of a run: %w", err)
		}
		w.changed(now)
	case "output":
		data, err := ev.Output()
		if err != nil {
			return err
		}
		if _, err := w.out.Write(data); err != nil {
			return console.Broken(err)
		}
		if err := w.out.Flush(); err != nil {
			return console.Broken(err)
		}
	}
	return nil
}

// changed says that the run was given to a worker, waits for another attempt, and the like.
func (w *watcher) changed(now job.Run) {
	before := w.run
	w.run = now
	if w.quiet || now.State.Terminal() || now.State == before.State && now.Attempt == before.Attempt {
		return
	}
	text := fmt.Sprintf("%s is %s", runName(now), now.State)
	if now.State.Active() && now.Host != "" {
		text += " on " + now.Host
	}
	if now.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", now.Attempt)
	}
	w.say("%s", text)
}
