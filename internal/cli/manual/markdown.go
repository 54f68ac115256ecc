package manual

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
)

// Shared is a part that the help of many commands repeats, and that the reference has once.
type Shared struct {
	Options []option.Option // none if it is text
	Text    string          // text of the help; empty if it is options
	Link    string          // what replaces it
}

// Markdown returns the reference of root and of every command below it that help lists: a list of them, and a section
// each. The options in shared are left out of the sections.
func Markdown(root *cobra.Command, shared []Shared) string {
	var list, sections strings.Builder
	list.WriteString("| command | what it does |\n|---|---|\n")
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		fmt.Fprintf(&list, "| [%s](#%s) | %s |\n", name, strings.ReplaceAll(name, " ", "-"), cell(cmd.Short))
		section(&sections, cmd, shared)
		for _, sub := range listed(cmd) {
			add(sub)
		}
	}
	for _, cmd := range listed(root) {
		add(cmd)
	}
	return list.String() + sections.String()
}

// section writes the section of one command.
func section(b *strings.Builder, cmd *cobra.Command, shared []Shared) {
	subs := listed(cmd)
	runs := cmd.Runnable() && (len(subs) == 0 || option.Any(cmd.LocalFlags()))
	fmt.Fprintf(b, "\n## %s\n\n```text\n", cmd.CommandPath())
	if runs {
		b.WriteString(cmd.UseLine() + "\n")
	}
	if len(subs) > 0 {
		b.WriteString(cmd.CommandPath() + " COMMAND [flags]\n")
	}
	b.WriteString("```\n\n" + prose(cmd, shared) + "\n")
	if runs {
		optionTable(b, cmd.LocalFlags(), shared)
	}
	if cmd.HasExample() {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n")[1:])
	}
	if runs {
		codes(b, exitcode.GroupOf(cmd))
	}
}

// prose returns the description of a command, where indented lines are code.
func prose(cmd *cobra.Command, shared []Shared) string {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	for _, part := range shared {
		if part.Text != "" {
			text = strings.ReplaceAll(text, part.Text, part.Link)
		}
	}
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString("\n\n")
		}
		if strings.HasPrefix(paragraph, "  ") {
			b.WriteString("```text\n" + paragraph + "\n```")
			continue
		}
		b.WriteString(linked(strings.Join(strings.Fields(paragraph), " ")))
	}
	return b.String()
}

// linked returns a text in which documents are links, and < and > are themselves.
func linked(text string) string { return document.ReplaceAllString(angles.Replace(text), "[$0]($1)") }

// document is how help names a document beside the reference.
var document = regexp.MustCompile(`\bdocs/([a-z-]+\.md)\b`)

// environment is how help names the variable of an option.
var environment = regexp.MustCompile(` \[(STINT_[A-Z0-9_]+)\]$`)

// optionTable writes the options that help lists, in its order.
func optionTable(b *strings.Builder, flags *pflag.FlagSet, shared []Shared) {
	var links []string
	var rows []row
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		link := sharedOption(f, shared)
		switch {
		case link == "":
			rows = append(rows, rowOf(f))
		case !slices.Contains(links, link):
			links = append(links, link)
		}
	})
	writeRows(b, rows)
	for _, link := range links {
		b.WriteString("\n" + link + "\n")
	}
}

// sharedOption returns the link to the part that has the option; empty for none.
func sharedOption(f *pflag.Flag, shared []Shared) string {
	for _, part := range shared {
		for _, o := range part.Options {
			if o.Name == f.Name && environment.ReplaceAllString(f.Usage, "") == o.Help {
				return part.Link
			}
		}
	}
	return ""
}

// row is an option in a table.
type row struct{ name, variable, initial, meaning string }

func rowOf(f *pflag.Flag) (r row) {
	value, help := pflag.UnquoteUsage(f)
	r.name = "`--" + strings.TrimSpace(f.Name+" "+value) + "`"
	if f.Shorthand != "" {
		r.name = "`-" + f.Shorthand + "`, " + r.name
	}
	if m := environment.FindStringSubmatch(help); m != nil {
		help, r.variable = strings.TrimSuffix(help, m[0]), "`"+m[1]+"`"
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
		r.initial = "`" + f.DefValue + "`"
	}
	r.meaning = cell(help)
	return r
}

// writeRows writes a table without the columns that no row fills.
func writeRows(b *strings.Builder, rows []row) {
	if len(rows) == 0 {
		return
	}
	all := append([]row{{"option", "environment", "default", "meaning"}, {"---", "---", "---", "---"}}, rows...)
	variables := slices.ContainsFunc(rows, func(r row) bool { return r.variable != "" })
	initial := slices.ContainsFunc(rows, func(r row) bool { return r.initial != "" })
	b.WriteByte('\n')
	for _, r := range all {
		b.WriteString("| " + r.name)
		if variables {
			b.WriteString(" | " + r.variable)
		}
		if initial {
			b.WriteString(" | " + r.initial)
		}
		b.WriteString(" | " + r.meaning + " |\n")
	}
}

// codes links to the exit codes of a command.
func codes(b *strings.Builder, of exitcode.Group) {
	var all []string
	for _, row := range of.Rows {
		all = append(all, row.Code)
	}
	fmt.Fprintf(b, "\n[Exit codes](exit-codes.md#%s): %s\n", strings.ToLower(strings.ReplaceAll(of.Name, " ", "-")), strings.Join(all, ", "))
}

// cell returns a text in the form of a cell of a table.
func cell(text string) string { return linked(strings.ReplaceAll(text, "|", `\|`)) }

var angles = strings.NewReplacer("<", "&lt;", ">", "&gt;")
