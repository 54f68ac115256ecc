package command

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/option"
)

func TestPeriod(t *testing.T) {
	now := time.Date(2026, 11, 29, 14, 30, 0, 0, time.FixedZone("CET", 3600))
	for _, c := range []struct{ since, until, want string }{
		{"", "", "- to -"},
		{"2h", "", "12:30 to -"},
		{"yesterday", "today", "00:00 to 00:00"},
		{"", "2027-01-01", "- to 00:00"},
		{"soon", "", `--since: "soon" is not a time: write it like ` + option.Moments},
		{"2h", "later", `--until: "later" is not a time: write it like ` + option.Moments},
		{"2026-11-30", "", "--since: 2026-11-30 00:00:00 +01:00 has not come yet"},
		{"1h", "2h", "--since is not before --until: the period is empty"},
		{"1h", "1h", "--since is not before --until: the period is empty"},
	} {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, PeriodRows("runs that started"))
		if err := flags.Parse([]string{"--since", c.since, "--until", c.until}); err != nil {
			t.Fatal(err)
		}
		if err := opts.Resolve(); err != nil {
			t.Fatal(err)
		}
		since, until, err := Period(opts, now)
		show := func(at time.Time) string {
			if at.IsZero() {
				return "-"
			}
			return at.Format("15:04")
		}
		got := show(since) + " to " + show(until)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("--since %q --until %q: %s, want %s", c.since, c.until, got, c.want)
		}
	}
}
