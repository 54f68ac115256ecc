// Package agentcmd holds the commands of the agent: run, flush, cache, doctor and version, and
// joins those of workers and crontabs. Both programs have them, and stint-agent has no others, so this
// package must not link the server, a database or the page.
package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/configcmd"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/croncmd"
	"stint.dev/stint/internal/cli/example"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/help"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/cli/workercmd"
)

// Main is stint-agent: it runs the command that args name and returns the exit code.
// Called as stint-sh it is the shell of cron.
func Main(args []string, version string) int {
	if IsShell(os.Args[0]) {
		return Shell(args, version)
	}
	taken := TakeSignals(args)
	c := &console.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
	return Execute(Alone(c, taken, version), c, args)
}

// Alone makes the command stint-agent, which has the agent's commands only.
func Alone(c *console.Console, taken *signals.Taker, version string) *cobra.Command {
	root := Root(c, taken, version, "stint-agent",
		"Runs one batch job and reports it to a tracking server",
		"stint-agent has the agent's commands of stint only: a smaller binary for hosts that only run\njobs.")
	example.Set(root)
	return root
}

// Root makes the program's command with the agent's commands below it. taken are the signals
// of an agent; nil if they are still to be taken.
func Root(c *console.Console, taken *signals.Taker, version, name, short, long string) *cobra.Command {
	root := &cobra.Command{
		Use: name, Short: short, Long: short + ".\n\n" + long,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	help.Set(root, c)
	addVersionFlag(root, c, version)
	a := &agentProgram{Console: c, version: version, signals: taken}
	root.AddCommand(a.run(), a.flush(), a.attempt(), a.finishAttempt(), a.cacheCommand(), a.doctor(), a.versionCommand())
	p := a.program()
	root.AddCommand(workercmd.Command(p), croncmd.Command(p), configcmd.Command(p,
		configcmd.Configured{Rows: RunRows, Check: a.checkRun}, configcmd.Configured{Rows: workercmd.RunRows, Check: workercmd.Check(p)}))
	return root
}

// FileRows returns the options that may be keys of configuration files.
func FileRows() []option.Option { return append(RunRows(), workercmd.RunRows()...) }

// program returns what commands of other packages need of the program.
func (a *agentProgram) program() *command.Program {
	return &command.Program{Console: a.Console, Version: a.version, FileRows: FileRows}
}

// Execute runs the command, prints its error and returns the exit code. Wrong usage exits with 2.
func Execute(root *cobra.Command, c *console.Console, args []string) int {
	own := make([]string, len(args)) // of os.Args some will be overwritten: see command.HideArguments
	for i, arg := range args {
		own[i] = strings.Clone(arg)
	}
	root.SetArgs(own)
	cmd, err := runCommand(root, args)
	c.Report(root.Name(), err)
	c.Flush()
	var exit *console.ExitError
	if errors.As(err, &exit) && exit.Signal != 0 {
		signals.Die(exit.Signal)
	}
	return exitcode.Of(cmd, err)
}

// TakeSignals begins to take signals if args are those of an agent: before anything else,
// because Go answers SIGQUIT with a dump of its stacks. It returns nil for other commands.
// The caller's goroutine, which is to be the main one, keeps its thread: see runCommand.
func TakeSignals(args []string) *signals.Taker {
	if !runs(args) {
		return nil
	}
	runtime.LockOSThread()
	return signals.Take()
}

func runs(args []string) bool { return len(args) > 0 && (args[0] == "run" || args[0] == "attempt") }

// runCommand runs the command and returns it; an agent beside the main thread. The kernel hands a signal to
// the main thread if it can, and there it would wait behind a call into a file system that
// does not answer.
func runCommand(root *cobra.Command, args []string) (cmd *cobra.Command, err error) {
	if !runs(args) {
		return root.ExecuteContextC(context.Background())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd, err = root.ExecuteContextC(context.Background())
	}()
	<-done
	return cmd, err
}

type agentProgram struct {
	*console.Console
	version string
	signals *signals.Taker
	shell   *shell // nil unless the program is the shell of cron
}

func (a *agentProgram) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printVersion(a.Console, cmd.Root().Name(), a.version)
		},
	}
}

// addVersionFlag makes program --version the same as program version.
func addVersionFlag(root *cobra.Command, c *console.Console, version string) {
	asked := root.Flags().BoolP("version", "v", false, "print the version")
	root.Flags().Lookup("version").Hidden = true // the command is listed
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if *asked && len(args) == 0 {
			return printVersion(c, root.Name(), version)
		}
		return run(cmd, args)
	}
}

func printVersion(c *console.Console, program, version string) error {
	return console.WriteAll(c.Out, fmt.Sprintf("%s %s (%s, %s/%s)\n", program, version, runtime.Version(), runtime.GOOS, runtime.GOARCH))
}
