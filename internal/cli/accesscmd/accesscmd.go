// Package accesscmd holds the commands about tokens, the identity of the caller and the audit log.
package accesscmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct{ *command.Program }

// Commands returns the commands of this package.
func Commands(c *command.Program) []*cobra.Command {
	p := &program{c}
	return []*cobra.Command{p.whoami(), p.audit()}
}
