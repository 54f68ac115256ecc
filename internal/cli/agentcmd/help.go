package agentcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// usage prints how a command is used, its options wrapped to the terminal. Cobra's own
// does not wrap, and its templates would link text/template, which alone makes stint-agent a
// fifth larger.
func usage(c *console.Console) func(*cobra.Command) error {
	return func(cmd *cobra.Command) error {
		var b strings.Builder
		b.WriteString("Usage:\n")
		// One with commands below it is run itself only if it has options.
		runs := cmd.Runnable() && (!cmd.HasAvailableSubCommands() || option.Any(cmd.LocalFlags()))
		if runs {
			fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
		}
		if cmd.HasAvailableSubCommands() {
			fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
		}
		if cmd.HasExample() {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
		}
		if cmd.HasAvailableSubCommands() {
			b.WriteString("\nCommands:\n" + commandList(cmd))
			fmt.Fprintf(&b, "\nRun %s COMMAND --help for more about a command.\n", cmd.CommandPath())
		}
		if cmd.HasAvailableLocalFlags() && runs {
			fmt.Fprintf(&b, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(helpWidth(c)))
		}
		return console.WriteAll(c.Out, b.String())
	}
}

// helpWidth returns how wide help may be: the terminal, within what reads well.
func helpWidth(c *console.Console) int { return min(max(c.Width(c.Out), 80), 110) }

// commandList returns the commands below cmd in two columns.
func commandList(cmd *cobra.Command) string {
	var b strings.Builder
	width := 0
	for _, sub := range cmd.Commands() {
		width = max(width, len(sub.Name()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, sub.Name(), sub.Short)
		}
	}
	return b.String()
}
