// Package notifycmd holds the commands about notifications: their routes, and what was sent.
package notifycmd

import (
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
)

type program struct{ *command.Program }

// Command returns the command notify.
func Command(c *command.Program) *cobra.Command { return (&program{c}).notify() }
