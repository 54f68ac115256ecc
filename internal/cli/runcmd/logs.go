package runcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/await"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// logs prints a run's output: all of it, a part, or as it arrives.
func (p *program) logs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs [flags] RUN",
		Short: "Print what a run printed; -f follows it live",
		Long: `Print what the last attempt of a run printed, or another attempt, byte for byte. With -f it
continues until the run has ended, across restarts of the server, and then prints on stderr how
the run ended. Gaps, and a log that is not proved complete, are reported on stderr. On a
terminal only text and colors are printed; --raw prints everything unchanged. A reader may pause
for any time: stint logs RUN | less.

` + command.AttemptHelp,
		Args: command.OneRun,
	}
	opts := option.Register(cmd.Flags(), slices.Concat(command.ServerRows(), searchRows(), []option.Option{
		{FlagOnly: true, Name: "follow", Short: "f", Kind: option.Switch, Help: "print new output as it arrives, until the run has ended"},
		{FlagOnly: true, Name: "tail", Short: "n", Value: "N", Kind: option.Number, Help: "only the last N lines"},
		{FlagOnly: true, Name: "from-line", Value: "N", Kind: option.Number, Help: "begin with line N"},
		{FlagOnly: true, Name: "lines", Value: "N", Kind: option.Number, Help: "at most N lines"},
		{FlagOnly: true, Name: "attempt", Value: "N", Kind: option.Number, Help: "only attempt N (default: the last; with --follow also those that follow)"},
		{FlagOnly: true, Name: "stream", Value: "NAME", Help: "only stdout or only stderr"},
		{FlagOnly: true, Name: "step", Value: "NAME", Help: "only this step, by name or number"},
		{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print one JSON object a line, with time, stream and number"},
		{FlagOnly: true, Name: "raw", Kind: option.Switch, Help: "on a terminal, let every control sequence through, not only colors"},
	}))
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		q, err := logQuery(opts)
		if err == nil {
			_, _, err = searchQuery(opts, q)
		}
		if err != nil {
			return err
		}
		run, err := p.findLogOf(ctx, c, opts.On("follow"), args[0], &q)
		if err != nil {
			return err
		}
		out := p.LogWriter(opts.On("raw"))
		printed := &counter{Writer: out}
		err = p.printLogs(ctx, c, run.ID, opts, q, printed)
		if cerr := out.Close(); err == nil {
			err = brokenPipe(cerr)
		}
		if err != nil {
			return err
		}
		if opts.On("follow") {
			return p.sayEnd(ctx, c, run, q.Attempt)
		}
		if printed.bytes == 0 {
			p.sayIfNotStarted(run)
		}
		p.sayMissing(run)
		return nil
	})
	return cmd
}

// counter counts what is written.
type counter struct {
	io.Writer
	bytes int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.bytes += int64(n)
	return n, err
}

// sayIfNotStarted says of a run without a log that it has not started.
func (p *program) sayIfNotStarted(run job.Run) {
	switch {
	case run.Attempt > 0:
	case run.State.Terminal():
		p.Say("%s never started: it has no log; stint show %s says why", command.RunName(run), run.ID)
	default:
		p.Say("%s has not started: it has no log yet; stint explain %s says why", command.RunName(run), run.ID)
	}
}

// findLogOf is findLog; to follow a log, which goes on across restarts of the server, it waits for one that is away.
func (p *program) findLogOf(ctx context.Context, c *client.Client, follow bool, text string, q *client.LogQuery) (job.Run, error) {
	if !follow {
		return findLog(ctx, c, text, q)
	}
	return await.Patiently(ctx, await.NewOutage(p.Say), func() (job.Run, error) { return findLog(ctx, c, text, q) })
}

// findLog returns the run whose log a person names, and sets the attempt that is named with it.
func findLog(ctx context.Context, c *client.Client, text string, q *client.LogQuery) (job.Run, error) {
	run, attempt, err := command.FindAttempt(ctx, c, text)
	switch {
	case err != nil:
		return run, err
	case attempt > 0 && q.Attempt > 0 && attempt != q.Attempt:
		return run, option.Usagef("%s names attempt %d and --attempt %d another: give one of them", job.Quote(text), attempt, q.Attempt)
	case attempt > 0:
		q.Attempt = attempt
	case q.Attempt > run.Attempt:
		return run, fmt.Errorf("%s has no attempt %d: it has %s", command.RunName(run), q.Attempt, console.Count(int64(run.Attempt), "attempt"))
	case q.Attempt > 0 && q.Attempt < run.Attempt:
		return c.Run(ctx, attemptName(run, q.Attempt))
	}
	return run, nil
}

// printLogs writes what the options ask for to out.
func (p *program) printLogs(ctx context.Context, c *client.Client, run string, opts *option.Set, q client.LogQuery, out io.Writer) error {
	search, wanted, err := searchQuery(opts, q)
	if err != nil {
		return err
	}
	if wanted {
		return searchLogs(ctx, c, run, search, opts.On("json"), out)
	}
	if !opts.On("follow") {
		return brokenPipe(c.Log(ctx, out, run, q, opts.On("json")))
	}
	if q.FromLine > 0 || q.Lines > 0 || !q.FromTime.IsZero() || !q.ToTime.IsZero() {
		return option.Usagef("--from-line, --lines, --since and --until select a fixed part of the log and cannot be combined with --follow; use --tail")
	}
	f := &follower{out: bufio.NewWriterSize(out, 64<<10), json: opts.On("json")}
	f.outage = await.NewOutage(p.Say)
	err = c.Follow(ctx, run, q, f.event, f.outage.Began)
	if ferr := f.out.Flush(); err == nil {
		err = ferr
	}
	if errors.Is(err, ctx.Err()) && err != nil {
		return &console.ExitError{Code: 130} // Ctrl-C is how one stops following
	}
	return brokenPipe(err)
}

func logQuery(opts *option.Set) (client.LogQuery, error) {
	q := client.LogQuery{Stream: opts.Text("stream"), Step: opts.Text("step")}
	if q.Stream != "" && q.Stream != "stdout" && q.Stream != "stderr" {
		return q, option.Usagef("--stream: %q is neither stdout nor stderr", q.Stream)
	}
	for name, into := range map[string]func(int64){
		"tail":      func(n int64) { q.Tail = int(n) },
		"from-line": func(n int64) { q.FromLine = n },
		"lines":     func(n int64) { q.Lines = int(n) },
		"attempt":   func(n int64) { q.Attempt = int(n) },
	} {
		n := opts.Number(name)
		if opts.Given(name) && (n < 1 || n > 1e12 || n != float64(int64(n))) {
			return q, option.Usagef("--%s: %v is not a whole number from 1", name, n)
		}
		into(int64(n))
	}
	var err error
	if q.FromTime, q.ToTime, err = command.Period(opts, time.Now()); err != nil {
		return q, err
	}
	timed := !q.FromTime.IsZero() || !q.ToTime.IsZero()
	if q.Tail > 0 && (q.FromLine > 0 || q.Lines > 0 || timed) {
		return q, option.Usagef("--tail cannot be combined with --from-line, --lines, --since or --until")
	}
	if q.FromLine > 0 && !q.FromTime.IsZero() {
		return q, option.Usagef("--from-line and --since both set the beginning: give one of them")
	}
	return q, nil
}

// follower writes the output that live events carry.
type follower struct {
	out    *bufio.Writer
	json   bool
	outage *await.Outage
}

func (f *follower) event(ev client.StreamEvent) error {
	f.outage.Ended()
	if f.json {
		line, err := json.Marshal(map[string]any{"type": ev.Type, "id": ev.ID, "data": json.RawMessage(ev.Data)})
		if err != nil {
			return fmt.Errorf("live event %s is not JSON: %w", ev.Type, err)
		}
		if _, err := f.out.WriteString(console.EscapeJSON(string(line)) + "\n"); err != nil {
			return err
		}
		return f.out.Flush()
	}
	if ev.Type != "output" {
		return nil
	}
	data, err := ev.Output()
	if err != nil {
		return err
	}
	if _, err := f.out.Write(data); err != nil {
		return err
	}
	return f.out.Flush()
}

// brokenPipe turns the error of a reader that went away into an exit code without a message.
func brokenPipe(err error) error {
	if err == nil {
		return nil
	}
	var exit *console.ExitError
	if broken := console.Broken(err); errors.As(broken, &exit) {
		return exit
	}
	return err
}
