package notifycmd

import (
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
)

// Mistakes of a route are named by the options that people gave, before the server is asked.
func TestMistakesNameOptions(t *testing.T) {
	server := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	for args, want := range map[string]string{
		"a/b":                                     "NAME: it has 1 to 100 letters",
		"x --event nosuch":                        `--event: "nosuch" is not an event; the events are failed, `,
		"x --severity bad":                        `--severity: "bad" is neither warning nor critical`,
		"x --match-job [":                         `--match-job: "[" is not a glob`,
		"x --match-label a":                       `--match-label: "a" is not K=V`,
		"x --quiet-for 9h":                        "need both --quiet-cron",
		"x --quiet-cron 0_22_*_*_*":               "--quiet-for, how long",
		"x --quiet-cron x --quiet-for 9h":         `--quiet-cron: cron expression "x"`,
		"x --quiet-cron 0_22_*_*_* --quiet-for x": `--quiet-for: "x" is not a duration`,
		"x --quiet-cron 0_22_*_*_* --quiet-for 9h --quiet-zone Mars": `--quiet-zone: "Mars" is not a time zone`,
		"x --repeat 1s":   "--repeat: 1 is neither 0 nor between 60 and 2592000 seconds",
		"x --group 99d":   "--group: 8553600 is not between 0 and 86400 seconds",
		"x --secret bad":  "--secret: ",
		"x --url foo://x": "--url: the scheme foo is not known",
	} {
		var all []string
		for arg := range strings.FieldsSeq(args) {
			all = append(all, strings.ReplaceAll(arg, "_", " "))
		}
		if !strings.Contains(args, "--url") {
			all = append(all, "--url", "https://example.org/hook")
		}
		_, _, err := clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
			return Command(&command.Program{Console: c})
		}, append([]string{"set"}, all...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}
