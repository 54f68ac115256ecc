package doctor

import (
	"fmt"

	"stint.dev/stint/internal/cli/console"
)

// textIndent is the width of what precedes the text of a finding: its mark and the name of the check.
const textIndent = 15

// Text returns findings in lines that fit a terminal of so many columns; 0 is none.
func Text(found []Finding, s console.Style, width int) string {
	var text string
	for _, f := range found {
		mark := s.Green("✓")
		switch f.Level {
		case "warning":
			mark = s.Yellow("!")
		case "error":
			mark = s.Red("✕")
		}
		line := f.Detail
		if f.Do != "" {
			line += "; " + f.Do
		}
		text += fmt.Sprintf("%s %-12s %s\n", mark, f.Check, console.Hang(console.Clean(line), textIndent, width, nil))
	}
	return text
}
