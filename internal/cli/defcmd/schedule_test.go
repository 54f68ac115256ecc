package defcmd

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/definition"
)

// A test of schedules prints every time, with what becomes of it and why.
func TestRehearse(t *testing.T) {
	d, mistakes := definition.Parse([]byte("job: a\nscript: x\nzone: Europe/Berlin\nschedules:\n- {cron: '30 2 * * *'}\n- {every: 12h, zone: UTC, catch_up: none}\n"), nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	read := func(args ...string) (string, error) {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, append(periodRows(),
			option.Option{FlagOnly: true, Name: "down-from"}, option.Option{FlagOnly: true, Name: "down-to"}, option.Option{FlagOnly: true, Name: "lasts", Kind: option.Duration}))
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		if err := opts.Resolve(func(string) string { return "" }); err != nil {
			t.Fatal(err)
		}
		rows, err := rehearse(d, opts)
		var lines []string
		for _, row := range rows {
			var cells []string
			for _, cell := range row {
				cells = append(cells, cell.Text)
			}
			lines = append(lines, strings.Join(cells, " | "))
		}
		return strings.Join(lines, "\n"), err
	}
	got, err := read("--from", "2026-03-29", "--to", "2026-03-30", "--down-from", "2026-03-29 13:30", "--down-to", "2026-03-29 15:00")
	want := "Sun 2026-03-29 00:00:00 +00:00 | 2 | ran | \nSun 2026-03-29 03:00:00 +02:00 | 1 | ran | the clock skips 02:30\n" +
		"Sun 2026-03-29 12:00:00 +00:00 | 2 | missed | nothing could be started then, and the schedule does not catch up"
	if err != nil || got != want {
		t.Errorf("%v\n%s, want\n%s", err, got, want)
	}
	for _, args := range [][]string{{}, {"--from", "2026-03-29"}, {"--from", "monday", "--to", "2026-03-30"}, {"--from", "2026-03-30", "--to", "2026-03-29"}} {
		if _, err := read(args...); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if at := zoned(time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), "Europe/Berlin"); at != "Sun 2026-03-29 03:00:00 +02:00" {
		t.Error(at)
	}
}
