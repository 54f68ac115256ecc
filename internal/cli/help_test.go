package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/console"
)

// The help of every command fits a terminal of any width, and has the same words at each. Only a word of an example, which is to
// be copied, may be wider.
func TestHelpFitsTerminals(t *testing.T) {
	s := site{t, ""}
	words := func(text string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(text, " \\\n", "\n")), "")
	}
	var check func(cmd *cobra.Command, args []string)
	check = func(cmd *cobra.Command, args []string) {
		asked := append(args, "--help")
		_, piped, _ := stint(t, asked...)
		for _, columns := range []int{60, 80, 120, 200} {
			shown := s.onTerminal(columns, asked...)
			for line := range strings.Lines(shown) {
				line = strings.TrimSuffix(line, "\n")
				word := strings.TrimSuffix(strings.TrimSpace(line), " \\")
				if n := console.Cells(line); n > columns && (strings.Contains(word, " ") || !strings.Contains(cmd.Example, word)) {
					t.Errorf("stint %v at %d columns: a line of %d cells: %q", asked, columns, n, line)
				}
			}
			if words(shown) != words(piped) {
				t.Errorf("stint %v at %d columns has other words than without a terminal:\n%s", asked, columns, shown)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				check(sub, append(args[:len(args):len(args)], sub.Name()))
			}
		}
	}
	check(Programs("test")[0], nil)
}
