package defcmd

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job/api"
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
		if err := opts.Resolve(); err != nil {
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
}

// Times are in the zone of the schedules if all that are shown have the same one, else in that of the terminal. The head of the
// table names it.
func TestZoneOfScheduledTimes(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = time.FixedZone("EST", -5*3600)
	at := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		zones         []string
		head, printed string
	}{
		"one zone":                   {[]string{"Europe/Berlin", "Europe/Berlin"}, "(CEST)", "Sun 2026-03-29 03:00:00 +02:00"},
		"two zones":                  {[]string{"Europe/Berlin", "UTC"}, "(EST)", "Sat 2026-03-28 20:00:00 -05:00"},
		"one that nobody here knows": {[]string{"Moon/Base"}, "(EST)", "Sat 2026-03-28 20:00:00 -05:00"},
	} {
		var all []api.Schedule
		for i, zone := range c.zones {
			all = append(all, api.Schedule{Job: "report", Number: i + 1, Zone: zone, NextAt: &at})
		}
		server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/times") {
				clitest.Answer(t, w, map[string]any{"times": []api.ScheduledTime{{Job: "report", Schedule: 1, At: at.In(time.FixedZone("", 7200))}}})
				return
			}
			clitest.Answer(t, w, map[string]any{"schedules": all, "next_cursor": nil})
		})
		for _, newCommand := range []func(*program) *cobra.Command{(*program).scheduleList, (*program).scheduleNext} {
			stdout, stderr, err := clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
				return newCommand(&program{&command.Program{Console: c}})
			})
			if head, rest, _ := strings.Cut(stdout, "\n"); err != nil || !strings.Contains(head, c.head) || !strings.Contains(rest, c.printed) {
				t.Errorf("%s: %v, %s\n%s; want %s and %s", name, err, stderr, stdout, c.head, c.printed)
			}
		}
	}
}

// Times without a zone are in that of the schedule, and so are those that backfill prints: as those of resume.
func TestBackfillUsesTheZoneOfTheSchedule(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = time.FixedZone("EST", -5*3600)
	var asked api.Backfill
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			clitest.Answer(t, w, map[string]any{"schedules": []api.Schedule{{Job: "report", Number: 1, Zone: "Europe/Berlin"}, {Job: "report", Number: 2, Zone: "UTC"}}, "next_cursor": nil})
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		clitest.Answer(t, w, map[string]any{"occurrences": []api.OccurrenceRecord{
			{Schedule: 1, At: time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC), Result: "ran"}, {Schedule: 2, At: time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC), Result: "ran"},
		}})
	})
	for args, want := range map[string]string{
		"--from 2026-01-01 --to 2026-01-02T03:00":        "2025-12-31T23:00:00Z to 2026-01-02T02:00:00Z",
		"--from 2026-01-01 --to 2026-01-02 --schedule 2": "2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z",
	} {
		stdout, stderr, err := clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
			return (&program{&command.Program{Console: c}}).backfill()
		}, append(strings.Fields(args), "report")...)
		if got := asked.From.UTC().Format(time.RFC3339) + " to " + asked.To.UTC().Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: %s, %v, %s; want %s", args, got, err, stderr, want)
		}
		if !strings.Contains(stdout, "Fri 2026-01-02 00:00:00 +01:00") || !strings.Contains(stdout, "Thu 2026-01-01 23:00:00 +00:00") {
			t.Errorf("%s prints\n%s", args, stdout)
		}
	}
}
