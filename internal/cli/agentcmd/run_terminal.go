package agentcmd

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/term"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/agent/stdio"
	"stint.dev/stint/internal/cli/option"
)

// streams fills in what the command's streams are.
func (a *agentProgram) streams(c *agent.Config, opts *option.Set) error {
	c.TTY = opts.On("tty")
	onTerminal := term.IsTerminal(int(a.In.Fd()))
	give, err := givesStdin(opts, onTerminal)
	if err != nil || !give {
		return err
	}
	c.Stdin, c.TypeStdin = a.In, opts.On("stdin")
	if c.TTY && onTerminal {
		a.RawTerminal() // our lines come between the job's
	}
	return nil
}

// givesStdin reports whether the command gets the agent's stdin. Of -i and --no-stdin a flag
// takes precedence over the environment, and that over files.
func givesStdin(opts *option.Set, onTerminal bool) (bool, error) {
	give, not := opts.On("stdin"), opts.On("no-stdin")
	if give && not {
		give, not = opts.Outranks("stdin", "no-stdin"), opts.Outranks("no-stdin", "stdin")
		if give == not {
			return false, option.Usagef("both %s and %s were given: choose one", opts.Source("stdin"), opts.Source("no-stdin"))
		}
	}
	return give || !not && !onTerminal, nil
}

// fitRetries removes the further attempts that a run may make when its stdin leaves
// nothing for them. Where stdin was asked for, that is an error.
func (a *agentProgram) fitRetries(c *agent.Config, opts *option.Set) error {
	if !c.Retry.Possible() {
		return nil
	}
	kind := stdio.OneReader(c.Stdin)
	switch {
	case kind == "":
		return nil
	case opts.On("stdin"):
		return option.Usagef("%s: stdin is %s, which only one attempt can read, so --retries and --retry-wait cannot be kept; give a file, or leave them out", opts.Source("stdin"), kind)
	}
	text := "no further attempts will be made: stdin is " + kind + ", which only the first can read; with --no-stdin the command reads /dev/null and is tried again"
	a.Say("%s", text)
	c.Retry, c.Notes = retry.Policy{}, append(c.Notes, text)
	return nil
}

// unstoppable keeps a terminal from stopping the agent when it is in the background there
// and reads, writes or changes it: a stopped agent would be a job without heartbeats. The
// job does not inherit that.
func unstoppable(c *agent.Config, files ...*os.File) (undo func()) {
	sigs := slices.DeleteFunc([]os.Signal{syscall.SIGTTIN, syscall.SIGTTOU}, signal.Ignored)
	if len(sigs) == 0 || !slices.ContainsFunc(files, func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }) {
		return func() {}
	}
	signal.Ignore(sigs...)
	caught := make(chan os.Signal, 1)
	c.BeforeFork = func() func() {
		// What is caught is at its default again in a new program; what is ignored stays so.
		signal.Notify(caught, sigs...)
		return func() { signal.Ignore(sigs...) }
	}
	return func() { signal.Reset(sigs...) }
}
