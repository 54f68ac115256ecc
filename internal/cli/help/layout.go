package help

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/exitcode"
	"stint.dev/stint/internal/cli/option"
)

// row is a line of help in two columns.
type row struct{ name, text string }

// commandRows returns the commands below cmd.
func commandRows(cmd *cobra.Command) (rows []row) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			rows = append(rows, row{sub.Name(), sub.Short})
		}
	}
	return rows
}

// flagRows returns the options that help lists.
func flagRows(flags *pflag.FlagSet) (rows []row) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, value, help := option.Describe(f)
		if f.Shorthand == "" {
			name = "    " + name // as wide as a letter
		}
		rows = append(rows, row{strings.TrimRight(name+" "+value, " "), help})
	})
	return rows
}

// codeRows returns exit codes.
func codeRows(g exitcode.Group) (rows []row) {
	for _, r := range g.Rows {
		rows = append(rows, row{r.Code, r.Meaning})
	}
	return rows
}

const (
	// leastText is the width of a text beside its name. If there is less, the text is below it.
	leastText = 24
	// below is how far a text is indented below its name.
	below = 8
)

// columns lays rows out in lines of at most width cells.
func columns(rows []row, width int) string {
	names := 0
	for _, r := range rows {
		names = max(names, console.Cells(r.name))
	}
	indent := names + 4
	var b strings.Builder
	for _, r := range rows {
		space := strings.Repeat(" ", names-console.Cells(r.name)+2)
		if width-indent < leastText {
			indent, space = below, "\n"+strings.Repeat(" ", below)
		}
		b.WriteString("  " + r.name + space + console.Hang(r.text, indent, width, nil) + "\n")
	}
	return b.String()
}

// paragraphs wraps a text to lines of at most width cells. A line that begins with a blank stays one.
func paragraphs(text string, width int) string {
	var b strings.Builder
	var words []string
	flush := func() {
		if len(words) > 0 {
			b.WriteString(console.Hang(strings.Join(words, " "), 0, width, nil) + "\n")
		}
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "":
			flush()
			b.WriteString("\n")
		case line[0] == ' ':
			flush()
			own := strings.TrimLeft(line, " ")
			indent := len(line) - len(own)
			b.WriteString(line[:indent] + console.Hang(own, indent+2, width, nil) + "\n")
		default:
			words = append(words, line)
		}
	}
	flush()
	return b.String()
}

// examples continues lines of a shell that are wider than width with a backslash. A word stays whole.
func examples(lines string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(strings.Trim(lines, "\n") + "\n") {
		used := 0
		words := shellWords(strings.TrimSpace(line))
		for i, word := range words {
			n, end := console.Cells(word), len(continued)
			if i == len(words)-1 {
				end = 0
			}
			switch {
			case i == 0:
				b.WriteString("  " + word)
				used = 2 + n
			case used+1+n+end <= width:
				b.WriteString(" " + word)
				used += 1 + n
			default:
				b.WriteString(continued + "\n      " + word)
				used = 6 + n
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// continued ends a line of a shell that goes on in the next one.
const continued = ` \`

// shellWords parts a line of a shell at its blanks, but not within quotes.
func shellWords(line string) []string {
	quote := rune(0)
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
			return false
		case r == '\'' || r == '"':
			quote = r
		}
		return r == ' '
	})
}
