package help

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

// unknownCommand is the error of a command that the program does not have.
func unknownCommand(cmd *cobra.Command, name string) error {
	return option.Usagef("there is no command %q%s; %s --help lists them, and a job is run with: %s run -- %s",
		name, command.DidYouMean(command.Near(cmd, name)), cmd.Name(), cmd.Name(), name)
}

// optionError is the error of options that cannot be parsed.
func optionError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return option.Usagef("%v; %s --help lists the options", err, cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	if !option.Any(cmd.LocalFlags()) {
		return option.Usagef("%v; %s takes no options itself: they follow the command, as in %s --%s", err, cmd.CommandPath(), example(cmd, name), name)
	}
	hint := ""
	if unknown.GetSpecifiedShortnames() == "" {
		hint = command.DidYouMean(nearOptions(cmd, name))
	}
	if cmd.Name() == "run" || cmd.Name() == "submit" {
		hint += "; if it is an option of the command to run, put -- before that"
	}
	return option.Usagef("%v%s; %s --help lists the options", err, hint, cmd.CommandPath())
}

// example returns a command below cmd that has an option.
func example(cmd *cobra.Command, name string) string {
	found := ""
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Flags().Lookup(name) != nil && (found == "" || sub.Name() == "runs") {
			found = sub.CommandPath()
		}
	}
	if found == "" {
		return cmd.CommandPath() + " COMMAND"
	}
	return found
}

// nearOptions returns the options of a command whose names are like name.
func nearOptions(cmd *cobra.Command, name string) []string {
	options := &cobra.Command{} // Cobra compares the names of commands only
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			options.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	var near []string
	for _, n := range command.Near(options, name) {
		near = append(near, "--"+n)
	}
	return near
}
