package command

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/option"
)

// Mistakes of an expectation are named by the options that people gave.
func TestExpectationNamesOptions(t *testing.T) {
	for args, want := range map[string]string{
		"--every 10s":                    "--every: 10s is not from 1m to 365d",
		"--every 90.5s":                  "--every",
		"--every 366d":                   "--every",
		"--every 1h --grace 1s":          "--grace: 1s is not from 1m to 365d",
		"--every 1h --zone UTC":          "--zone is for --cron",
		"--every 1h --cron @daily":       "--every and --cron exclude each other",
		"--zone UTC":                     "--zone and --grace need",
		"--cron @daily --zone Mars":      "--zone: ",
		"--cron x":                       "--cron: ",
		"--cron @daily --grace 1h":       "",
		"--every 1d --grace 1h":          "",
		"--cron @daily --zone Etc/GMT+1": "",
	} {
		set, err := parsedDue(t, strings.Fields(args))
		if err == nil {
			_, err = Expectation(set)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "_seconds") {
			t.Errorf("%s: %v names a field of the API", args, err)
		}
	}
}

// parsedDue parses arguments with the options of DueRows.
func parsedDue(t *testing.T, args []string) (*option.Set, error) {
	t.Helper()
	flags := pflag.NewFlagSet("due", pflag.ContinueOnError)
	set := option.Register(flags, DueRows(""))
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	return set, set.Resolve()
}
