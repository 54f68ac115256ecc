// Package manual makes the manual pages and the reference of a program from its commands and their option tables.
package manual

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
)

// Release is what every page names.
type Release struct {
	Version string
	Date    time.Time
}

// Pages returns the manual pages, in section 1, of root and of every command below it that help lists: the text by the
// name of the file, such as stint-run.1.
func Pages(root *cobra.Command, of Release) map[string]string {
	pages := map[string]string{}
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		pages[pageName(cmd)+".1"] = page(cmd, of)
		for _, sub := range listed(cmd) {
			add(sub)
		}
	}
	add(root)
	return pages
}

// listed returns the commands below cmd that have a page.
func listed(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			all = append(all, sub)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page writes one manual page.
func page(cmd *cobra.Command, of Release) string {
	cmd.InitDefaultHelpFlag()
	subs := listed(cmd)
	runs := cmd.Runnable() && (len(subs) == 0 || option.Any(cmd.LocalFlags()))
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 %s %s %s\n", argument(strings.ToUpper(pageName(cmd))), `"`+of.Date.UTC().Format(time.DateOnly)+`"`,
		argument("Stint "+of.Version), argument("Stint"))
	b.WriteString(".nh\n.ad l\n") // names of options and files stay whole
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(pageName(cmd)), escape(cmd.Short))
	b.WriteString(".SH SYNOPSIS\n")
	if runs {
		fmt.Fprintf(&b, ".B %s\n", escape(cmd.UseLine()))
	}
	if len(subs) > 0 {
		if runs {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, ".B %s\n", escape(cmd.CommandPath()+" COMMAND [flags]"))
	}
	b.WriteString(".SH DESCRIPTION\n")
	if cmd.Long != "" {
		writeText(&b, cmd.Long)
	} else {
		writeText(&b, cmd.Short+".")
	}
	writeCommands(&b, subs)
	if runs {
		writeOptions(&b, cmd.LocalFlags())
	}
	if cmd.HasExample() {
		b.WriteString(".SH EXAMPLES\n.nf\n" + lines(cmd.Example) + ".fi\n")
	}
	if runs {
		b.WriteString(".SH EXIT STATUS\n")
		for _, r := range exitcode.GroupOf(cmd).Rows {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", escape(r.Code), escape(r.Meaning))
		}
	}
	writeRelated(&b, cmd, subs)
	return b.String()
}

func writeCommands(b *strings.Builder, subs []*cobra.Command) {
	if len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
	}
	for _, sub := range subs {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", escape(sub.Name()), escape(sub.Short))
	}
}

// writeOptions writes the options that help lists, in its order.
func writeOptions(b *strings.Builder, flags *pflag.FlagSet) {
	if option.Any(flags) {
		b.WriteString(".SH OPTIONS\n")
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, value, help := option.Describe(f)
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR", escape(name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", escape(value))
		}
		b.WriteString("\n" + escape(help) + "\n")
	})
}

// writeRelated names the pages of the commands above and below.
func writeRelated(b *strings.Builder, cmd *cobra.Command, subs []*cobra.Command) {
	var names []string
	if cmd.HasParent() {
		names = append(names, pageName(cmd.Parent()))
	}
	for _, sub := range subs {
		names = append(names, pageName(sub))
	}
	if len(names) == 0 {
		return
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, name := range names {
		end := ","
		if i == len(names)-1 {
			end = ""
		}
		fmt.Fprintf(b, ".BR %s (1)%s\n", escape(name), end)
	}
}

// writeText writes paragraphs; lines that begin with a blank stay as they are.
func writeText(b *strings.Builder, text string) {
	verbatim := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		switch indented := strings.HasPrefix(line, " "); {
		case line == "":
			if verbatim {
				b.WriteString(".fi\n")
			}
			verbatim = false
			b.WriteString(".PP\n")
			continue
		case indented && !verbatim:
			b.WriteString(".nf\n")
			verbatim = true
		case !indented && verbatim:
			b.WriteString(".fi\n")
			verbatim = false
		}
		b.WriteString(escape(line) + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n")
	}
}

// lines returns each line escaped.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		b.WriteString(escape(line) + "\n")
	}
	return b.String()
}

var special = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "\\(ga", "'", `\(aq`, "^", `\(ha`, "~", `\(ti`)

// escape returns a line of text in which roff finds no request or escape of its own.
func escape(line string) string {
	line = special.Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}

// argument returns the quoted argument of a macro.
func argument(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }
