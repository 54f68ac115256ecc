package agentcmd

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"golang.org/x/term"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/cli/option"
)

// terminal fills in what the command's streams are.
func (a *agentProgram) terminal(c *agent.Config, opts *option.Set) {
	c.TTY = opts.On("tty")
	if !opts.On("stdin") {
		return
	}
	c.Stdin = a.In
	if c.TTY && term.IsTerminal(int(a.In.Fd())) {
		a.RawTerminal() // our lines come between the job's
	}
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
