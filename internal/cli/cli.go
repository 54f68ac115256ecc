// Package cli is the command line of stint. It and the packages below it are the only
// places that read arguments, environment and signals, and they join the parts: agent,
// client, server, store, monitor and page. There is one file per command; the commands
// that stint-agent has too live in package agentcmd.
package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// program is what every command needs.
type program struct {
	*console.Console
	version string
}

// Main runs the command that args name and returns the exit code of the process.
func Main(args []string, version string) int {
	taken := agentcmd.TakeSignals(args)
	c := &console.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
	return agentcmd.Execute(newRoot(c, taken, version), c, args)
}

// newRoot makes the command stint with everything below it.
func newRoot(c *console.Console, taken *signals.Taker, version string) *cobra.Command {
	p := &program{Console: c, version: version}
	root := agentcmd.Root(c, taken, version, "stint",
		"Runs batch jobs and keeps watch over them, on next to no resources",
		"stint run runs a job and tells a tracking server everything about it; stint server is that\nserver. Begin with: stint demo")
	root.AddCommand(p.runs(), p.show(), p.logs(), p.cancel(), p.retry(), p.acknowledge(), p.notify(), p.explain(), p.job(), p.policy(), p.server(), p.token(), p.demo(), p.demoJob())
	return root
}

// interruptible makes the command's context end at the first Ctrl-C or SIGTERM; a second
// one ends the program the hard way. The commands that only ask and print need no more.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// serverRows are the options of every command that asks a server.
func (p *program) serverRows() []option.Option { return command.ServerRows() }

// client resolves a command's options and makes the client they describe.
func (p *program) client(opts *option.Set) (*client.Client, error) {
	if err := opts.Resolve(p.Getenv); err != nil {
		return nil, err
	}
	return command.NewClient(opts, p.version, "")
}

// withClient is the RunE of a command that makes requests of a server.
func (p *program) withClient(opts *option.Set, do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := p.client(opts)
		if err != nil {
			return err
		}
		defer c.Close()
		return do(cmd.Context(), c, args)
	}
}

// jsonRow is the option of commands that can print JSON.
func jsonRow() option.Option {
	return option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.HasSubCommands() && cmd.Name() != "server" {
			return option.Usagef("there is no command %q below %s; %s --help lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return option.Usagef("unexpected argument %q: this command takes options only", args[0])
	}
	return nil
}

func oneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s wants one RUN: an id, the first characters of one, or job#number", cmd.CommandPath())
	}
	return nil
}
