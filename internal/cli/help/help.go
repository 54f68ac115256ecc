// Package help prints how commands are used, and says of a command or option that does not exist what may be meant.
package help

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
)

// Set makes root and the commands below it print their help on c, and refuse unknown commands and options.
func Set(root *cobra.Command, c *console.Console) {
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	root.SetFlagErrorFunc(optionError)
	root.SetUsageFunc(usage(c))
	root.SetHelpCommand(helpCommand())
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
}

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
		if runs {
			b.WriteString("\nExit codes:\n" + exitCodes(exitcode.GroupOf(cmd), helpWidth(c)))
		}
		return console.WriteAll(c.Out, b.String())
	}
}

// helpCommand prints the help of a command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND…]",
		Short: "Print the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return option.Usagef("%v", err)
			case len(rest) > 0 && found == cmd.Root():
				return unknownCommand(found, rest[0])
			case len(rest) > 0 && found.HasSubCommands():
				return command.NoCommand(found, rest)
			case len(rest) > 0:
				return option.Usagef("%s has no commands below it: %q is none; its help is printed with: %s --help", found.CommandPath(), rest[0], found.CommandPath())
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
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

// exitCodes returns the exit codes of a command in two columns.
func exitCodes(g exitcode.Group, width int) string {
	var b strings.Builder
	column := 0
	for _, r := range g.Rows {
		column = max(column, len(r.Code))
	}
	for _, r := range g.Rows {
		line := fmt.Sprintf("  %-*s ", column, r.Code)
		used := len(line)
		for word := range strings.FieldsSeq(r.Meaning) {
			if used+1+len(word) > width {
				line += "\n" + strings.Repeat(" ", column+3)
				used = column + 3
			}
			line += " " + word
			used += 1 + len(word)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
