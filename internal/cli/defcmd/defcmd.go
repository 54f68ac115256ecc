// Package defcmd holds the commands about jobs that the server starts: their definitions, the
// submission of runs, and the queue.
package defcmd

import (
	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

type program struct{ *command.Program }

// Commands returns the commands of this package.
func Commands(c *command.Program) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{p.apply(), p.diff(), p.schema(), p.submit(), p.wait(), p.queue(), p.group(), p.schedule()}
}

// JobCommands returns those that belong below the command job.
func JobCommands(c *command.Program) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{p.export(), p.versions(), p.pause(), p.resume()}
}

func oneJob(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs the NAME of one job", cmd.CommandPath())
	}
	return job.CheckName(args[0])
}

// shortVersion is a version as people read it.
func shortVersion(version string) string { return version[:min(len(version), 12)] }
