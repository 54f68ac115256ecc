// Package await waits for runs to end, for every command that does, and says what happens to them meanwhile.
package await

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// Exit codes of a command that stopped waiting.
const (
	Interrupted = 130 // after Ctrl-C, as a shell reports it
	TimedOut    = 124 // as timeout(1)
)

// Options are how to wait.
type Options struct {
	Follow  bool          // print what the run prints; for one run only
	JSON    bool          // print the runs at their ends
	Timeout time.Duration // of Named; 0 for none
}

// errTimeout is the cause of a wait that has taken as long as it may.
var errTimeout = errors.New("timeout")

// Named is Runs for runs that find finds by name. It waits for a server that is away already.
func Named(ctx context.Context, p *console.Console, c *client.Client, names []string, o Options, find func(context.Context, string) (job.Run, error)) error {
	ctx, cancel := o.limit(ctx)
	defer cancel()
	var runs []job.Run
	outage := NewOutage(p.Say)
	for _, name := range names {
		run, err := Patiently(ctx, outage, func() (job.Run, error) { return find(ctx, name) })
		switch {
		case err != nil && ctx.Err() != nil:
			return stopped(ctx, p, nil, o)
		case err != nil:
			return err
		}
		runs = append(runs, run)
	}
	return Runs(ctx, p, c, runs, o)
}

// Runs waits for the ends of runs. Its error has the exit code: of the first of them, in their order, that did
// not succeed, as stint run would have ended.
func Runs(ctx context.Context, p *console.Console, c *client.Client, runs []job.Run, o Options) error {
	var out io.WriteCloser
	if o.Follow {
		out = p.LogWriter(false)
	}
	outage := NewOutage(p.Say)
	ended, errs := make([]job.Run, len(runs)), make([]error, len(runs))
	var wait sync.WaitGroup
	for i, run := range runs {
		w := &watcher{run: run, say: p.Say, quiet: o.JSON, outage: outage}
		if out != nil {
			w.out = bufio.NewWriterSize(out, 64<<10)
		}
		wait.Go(func() { ended[i], errs[i] = w.end(ctx, c) })
	}
	wait.Wait()
	if out != nil {
		errs = append(errs, out.Close())
	}
	if ctx.Err() != nil {
		return stopped(ctx, p, ended, o)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return report(p, ended, o)
}

// limit returns a context that ends when the wait has taken as long as it may.
func (o Options) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
}

// stopped says which runs go on without the command.
func stopped(ctx context.Context, p *console.Console, runs []job.Run, o Options) error {
	late := errors.Is(context.Cause(ctx), errTimeout)
	for _, r := range runs {
		switch {
		case r.State.Terminal():
		case late:
			p.Say("%s has not ended after %s: it is %s", Name(r), job.DurationText(o.Timeout), r.State)
		default:
			p.Say("%s goes on without this command; it is canceled with: stint cancel %s", Name(r), r.ID)
		}
	}
	if late {
		if len(runs) == 0 {
			p.Say("no answer from the server within %s", job.DurationText(o.Timeout))
		}
		return &console.ExitError{Code: TimedOut}
	}
	return &console.ExitError{Code: Interrupted}
}

// report prints how runs ended, and returns the exit code of the first that did not succeed.
func report(p *console.Console, runs []job.Run, o Options) error {
	code := 0
	for _, r := range runs {
		if o.JSON {
			if err := p.PrintJSON(r); err != nil {
				return err
			}
		}
		if r.State != job.Succeeded {
			p.Say("%s", EndedText(r))
		}
		if code == 0 {
			code = exitCode(r)
		}
	}
	if code == 0 {
		return nil
	}
	return &console.ExitError{Code: code}
}

// watcher says what happens to a run, and prints what it prints.
type watcher struct {
	run    job.Run
	out    *bufio.Writer // nil: only what happens
	say    func(format string, args ...any)
	quiet  bool
	outage *Outage
}

// end waits for the end of the run and returns it, or with an error, how it was last.
func (w *watcher) end(ctx context.Context, c *client.Client) (job.Run, error) {
	if !w.quiet && !w.run.State.Terminal() {
		w.say("%s is %s", Name(w.run), w.run.State)
	}
	err := c.Follow(ctx, w.run.ID, client.LogQuery{NoOutput: w.out == nil}, w.event, w.outage.Began)
	if w.out != nil {
		err = errors.Join(err, w.out.Flush())
	}
	if err != nil {
		return w.run, err
	}
	run, err := Patiently(ctx, w.outage, func() (job.Run, error) { return c.Run(ctx, w.run.ID) })
	if err != nil {
		return w.run, err
	}
	return run, nil
}

// event takes one live event.
func (w *watcher) event(ev client.StreamEvent) error {
	w.outage.Ended()
	switch ev.Type {
	case "run":
		var now job.Run
		if err := json.Unmarshal(ev.Data, &now); err != nil {
			return fmt.Errorf("live event of a run: %w", err)
		}
		w.changed(now)
	case "output":
		if w.out == nil {
			return nil
		}
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
	text := fmt.Sprintf("%s is %s", Name(now), now.State)
	if now.State.Active() && now.Host != "" {
		text += " on " + now.Host
	}
	if now.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", now.Attempt)
	}
	w.say("%s", text)
}
