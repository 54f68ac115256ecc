// Package cli is the command line of stint: the root command, which joins the commands of the
// packages below it. They are the only places that read arguments, environment and signals.
package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/cli/accesscmd"
	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/completion"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/defcmd"
	"stint.dev/stint/internal/cli/deletecmd"
	"stint.dev/stint/internal/cli/example"
	"stint.dev/stint/internal/cli/healthcmd"
	"stint.dev/stint/internal/cli/importcmd"
	"stint.dev/stint/internal/cli/jobcmd"
	"stint.dev/stint/internal/cli/notifycmd"
	"stint.dev/stint/internal/cli/runcmd"
	"stint.dev/stint/internal/cli/servercmd"
)

// Main runs the command that args name and returns the exit code of the process. Called as stint-sh
// the program is the shell of cron.
func Main(args []string, version string) int {
	if agentcmd.IsShell(os.Args[0]) {
		return agentcmd.Shell(args, version)
	}
	taken := agentcmd.TakeSignals(args)
	c := &console.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
	return execute(newRoot(c, taken, version), c, args, version)
}

// execute runs the command that args name, or completes them.
func execute(root *cobra.Command, c *console.Console, args []string, version string) int {
	if completion.Asked(args) {
		completion.Set(root, &command.Program{Console: c, Version: version, FileRows: agentcmd.FileRows})
	}
	return agentcmd.Execute(root, c, args)
}

// Programs returns the commands stint and stint-agent, to be described, not to be run.
func Programs(version string) []*cobra.Command {
	c := &console.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: func(string) string { return "" }}
	return []*cobra.Command{newRoot(c, nil, version), agentcmd.Alone(c, nil, version)}
}

// newRoot makes the command stint with everything below it.
func newRoot(c *console.Console, taken *signals.Taker, version string) *cobra.Command {
	root := agentcmd.Root(c, taken, version, "stint",
		"Runs batch jobs and monitors them, with few resources",
		"stint run runs a job and reports it to a tracking server; stint server is that server.\nBegin with: stint demo")
	p := &command.Program{Console: c, Version: version, FileRows: agentcmd.FileRows}
	root.AddCommand(defcmd.Commands(p)...)
	root.AddCommand(runcmd.Commands(p)...)
	root.AddCommand(jobcmd.Commands(p, defcmd.JobCommands(p)...)...)
	root.AddCommand(notifycmd.Command(p))
	root.AddCommand(deletecmd.Command(p))
	root.AddCommand(accesscmd.Commands(p)...)
	root.AddCommand(healthcmd.Command(p), importcmd.Command(p), completion.Command(p))
	root.AddCommand(servercmd.Commands(p, func(ctx context.Context, args []string) error {
		again := newRoot(c, nil, version)
		again.SetArgs(args)
		return again.ExecuteContext(ctx)
	})...)
	example.Set(root)
	return root
}
