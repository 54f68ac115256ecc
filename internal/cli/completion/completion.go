// Package completion offers shells what can be typed next: commands and options by Cobra's mechanism, and values of
// options and arguments, of which those that the server knows are asked for, for at most a moment.
package completion

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

//go:embed scripts/bash
var bash string

//go:embed scripts/zsh
var zsh string

//go:embed scripts/fish
var fish string

var scripts = map[string]string{"bash": bash, "zsh": zsh, "fish": fish}

// Command returns the command that prints the script of a shell.
func Command(p *command.Program) *cobra.Command {
	const program = "stint" // stint-agent, which is kept small, has no completion
	shells := slices.Sorted(maps.Keys(scripts))
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script by which a shell completes commands, options, jobs and runs",
		Long: `Print a script by which a shell completes commands, options, values, and the jobs, runs, labels and
hosts that the server knows. It asks the server of the options or the environment, for 0.3 s at
most, and keeps the answer for some seconds in the cache directory of the user.

  bash  in ~/.bashrc:     source <(` + program + ` completion bash)
  zsh   in ~/.zshrc:      source <(` + program + ` completion zsh), after compinit
  fish  in config.fish:   ` + program + ` completion fish | source`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || scripts[args[0]] == "" {
				return option.Usagef("%s needs the name of one shell: %s", cmd.CommandPath(), strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return console.WriteAll(p.Out, Script(args[0], program))
		},
	}
}

// Script returns the script of a shell for a program.
func Script(shell, program string) string {
	return strings.NewReplacer("PROGRAM", program, "FUNCTION", strings.ReplaceAll(program, "-", "_")).Replace(scripts[shell])
}

// Asked reports whether the arguments of a program ask for completions.
func Asked(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// Set makes the commands below root complete their options and arguments.
func Set(root *cobra.Command, p *command.Program) {
	if !root.HasParent() {
		root.InitDefaultHelpCmd() // else it is added later
	}
	for _, cmd := range root.Commands() {
		Set(cmd, p)
	}
	if cmd := root; cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return complete(request{p, cmd, args, typed, time.Now()}, argument(cmd, args))
		}
	}
	root.LocalFlags().VisitAll(func(f *pflag.Flag) {
		// It fails only for an option that completes itself.
		_ = root.RegisterFlagCompletionFunc(f.Name, func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if own := ownValues(f); len(own) > 0 {
				var items []item
				for _, v := range own {
					items = append(items, item{Value: v})
				}
				return offered(items, typed), cobra.ShellCompDirectiveNoFileComp
			}
			return complete(request{p, cmd, args, typed, time.Now()}, OptionKind(cmd, f))
		})
	})
}

// request is what is to be completed.
type request struct {
	*command.Program
	cmd   *cobra.Command
	args  []string // before the word
	typed string   // the beginning of the word
	began time.Time
}

// item is a value that can be typed, and what it is.
type item struct {
	Value string `json:"value"`
	Note  string `json:"note,omitempty"`
}

// complete returns what can be typed, of a kind.
func complete(r request, k Kind) ([]cobra.Completion, cobra.ShellCompDirective) {
	const only = cobra.ShellCompDirectiveNoFileComp
	switch k {
	case Files:
		return nil, cobra.ShellCompDirectiveDefault
	case Directories:
		return nil, cobra.ShellCompDirectiveFilterDirs
	case Programs:
		return programs(r)
	}
	items := fixed[k]
	if items == nil && sources[k] != nil {
		items = sources[k](r)
	}
	directive := only
	if keepOrder[k] {
		directive |= cobra.ShellCompDirectiveKeepOrder
	}
	found := offered(items, r.typed)
	if len(found) > 0 && !slices.ContainsFunc(found, func(c cobra.Completion) bool { return !unfinished(c) }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return found, directive
}

// unfinished reports whether something must follow a value: the key of a label.
func unfinished(c cobra.Completion) bool {
	value, _, _ := strings.Cut(c, "\t")
	return strings.HasSuffix(value, "=") || strings.HasSuffix(value, "@") || strings.HasSuffix(value, ":")
}

// offered returns the items that begin with what was typed. Those that a terminal would not print as they are
// are left out: typed as they are shown, they would be something else.
func offered(items []item, typed string) []cobra.Completion {
	var found []cobra.Completion
	seen := map[string]bool{}
	for _, i := range items {
		if !strings.HasPrefix(i.Value, typed) || i.Value == "" || seen[i.Value] || i.Value != console.Clean(i.Value) || strings.TrimSpace(i.Value) != i.Value {
			continue
		}
		seen[i.Value] = true
		found = append(found, cobra.CompletionWithDesc(i.Value, console.Clean(i.Note)))
	}
	return found
}
