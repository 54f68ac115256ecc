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
	root.SetUsageFunc(func(cmd *cobra.Command) error { return console.WriteAll(c.Out, usage(cmd, helpWidth(c))) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		c.Report(cmd.Root().Name(), console.WriteAll(c.Out, text(cmd, helpWidth(c))))
	})
	root.SetHelpCommand(helpCommand())
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
}

// text returns the help of a command, whose lines fit a terminal of so many columns. Cobra's own does not wrap, and its
// templates would link text/template, which alone makes stint-agent a fifth larger.
func text(cmd *cobra.Command, width int) string {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	return paragraphs(strings.TrimSpace(about), width) + "\n" + usage(cmd, width)
}

// usage returns how a command is used.
func usage(cmd *cobra.Command, width int) string {
	var b strings.Builder
	b.WriteString("Usage:\n")
	// One with commands below it is run itself only if it has options.
	runs := cmd.Runnable() && (!cmd.HasAvailableSubCommands() || option.Any(cmd.LocalFlags()))
	if runs {
		b.WriteString("  " + console.Hang(cmd.UseLine(), 6, width, nil) + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND [flags]\n", cmd.CommandPath())
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + examples(cmd.Example, width))
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n" + columns(commandRows(cmd), width))
		b.WriteString("\n" + console.Hang(fmt.Sprintf("Run %s COMMAND --help for more about a command.", cmd.CommandPath()), 0, width, nil) + "\n")
	}
	if cmd.HasAvailableLocalFlags() && runs {
		b.WriteString("\nFlags:\n" + columns(flagRows(cmd.LocalFlags()), width))
	}
	if runs {
		b.WriteString("\nExit codes:\n" + columns(codeRows(exitcode.GroupOf(cmd)), width))
	}
	return b.String()
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
func helpWidth(c *console.Console) int {
	if width := c.Width(c.Out); width > 0 {
		return min(width, 110)
	}
	return 80
}
