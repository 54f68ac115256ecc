package due

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return t
}

func rule(t *testing.T, e job.Expectation) Rule {
	t.Helper()
	r, err := Parse(e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestInvalidExpectationsNameTheField(t *testing.T) {
	for name, c := range map[string]struct {
		e    job.Expectation
		want string
	}{
		"nothing":            {job.Expectation{}, "every_seconds"},
		"both":               {job.Expectation{EverySeconds: 60, Cron: "* * * * *"}, "choose one"},
		"short":              {job.Expectation{EverySeconds: 59}, "every_seconds"},
		"negative":           {job.Expectation{EverySeconds: -86400}, "every_seconds"},
		"long":               {job.Expectation{EverySeconds: 365*86400 + 1}, "every_seconds"},
		"overflow":           {job.Expectation{EverySeconds: 1 << 62}, "every_seconds"},
		"short grace":        {job.Expectation{EverySeconds: 60, GraceSeconds: 59}, "grace_seconds"},
		"long grace":         {job.Expectation{EverySeconds: 60, GraceSeconds: 1 << 62}, "grace_seconds"},
		"seconds":            {job.Expectation{Cron: "0 0 3 * * *"}, "without seconds"},
		"no date":            {job.Expectation{Cron: "0 0 31 2 *"}, "matches no date"},
		"reboot":             {job.Expectation{Cron: "@reboot"}, "has no time"},
		"zone in expression": {job.Expectation{Cron: "TZ=UTC 0 3 * * *"}, "time zone"},
		"no such zone":       {job.Expectation{Cron: "0 3 * * *", Zone: "Europe/Atlantis"}, "zone"},
		"zone of the host":   {job.Expectation{Cron: "0 3 * * *", Zone: "local"}, "zone"},
		"zone as a path":     {job.Expectation{Cron: "0 3 * * *", Zone: "../../etc/passwd"}, "zone"},
		"zone of every":      {job.Expectation{EverySeconds: 60, Zone: "Europe/Berlin"}, "for cron only"},
		"huge":               {job.Expectation{Cron: strings.Repeat("* ", 1<<19)}, "the limit is 200"},
		"control characters": {job.Expectation{Cron: "0 3 * * \x00"}, "cron"},
	} {
		_, err := Parse(c.e)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestSlots(t *testing.T) {
	daily := rule(t, job.Expectation{Cron: "0 3 * * *", Zone: "Europe/Berlin"})
	minutely := rule(t, job.Expectation{Cron: "* * * * *"})
	every := rule(t, job.Expectation{EverySeconds: 86400})
	for name, c := range map[string]struct {
		of         Rule
		due        time.Time
		start      time.Time
		counts     bool
		after      time.Time // the first due time for which it does not count
		checkAfter bool
	}{
		"in time":                     {daily, at("2026-01-02 02:00:00"), at("2026-01-02 02:00:03"), true, at("2026-01-03 02:00:00"), true},
		"a clock that is ahead":       {daily, at("2026-01-02 02:00:00"), at("2026-01-02 01:59:30"), true, at("2026-01-03 02:00:00"), true},
		"too early":                   {daily, at("2026-01-02 02:00:00"), at("2026-01-02 01:58:00"), false, at("2026-01-02 02:00:00"), true},
		"hours late":                  {daily, at("2026-01-02 02:00:00"), at("2026-01-02 22:00:00"), true, at("2026-01-03 02:00:00"), true},
		"the next one":                {daily, at("2026-01-02 02:00:00"), at("2026-01-03 01:59:30"), false, at("2026-01-04 02:00:00"), true},
		"the day of a short night":    {daily, at("2026-03-29 01:00:00"), at("2026-03-29 01:00:01"), true, at("2026-03-30 01:00:00"), true},
		"each minute, ten seconds in": {minutely, at("2026-01-02 02:00:00"), at("2026-01-02 02:00:10"), true, at("2026-01-02 02:01:00"), true},
		"each minute, ahead":          {minutely, at("2026-01-02 02:00:00"), at("2026-01-02 01:59:50"), true, at("2026-01-02 02:01:00"), true},
		"each minute, half":           {minutely, at("2026-01-02 02:00:00"), at("2026-01-02 01:59:30"), false, time.Time{}, false},
		"an interval, sooner":         {every, at("2026-01-02 02:00:00"), at("2026-01-01 12:00:00"), true, at("2026-01-02 12:00:00"), true},
		"an interval, the last start": {every, at("2026-01-02 02:00:00"), at("2026-01-01 02:00:00"), false, at("2026-01-02 02:00:00"), true},
		"an interval, late":           {every, at("2026-01-02 02:00:00"), at("2026-01-02 22:00:00"), true, at("2026-01-03 22:00:00"), true},
	} {
		from, until := c.of.Slot(c.due)
		if got := !c.start.Before(from) && c.start.Before(until); got != c.counts {
			t.Errorf("%s: counts %t, for the slot from %s until %s", name, got, from, until)
		}
		if got := c.of.After(c.start); c.checkAfter && !got.Equal(c.after) {
			t.Errorf("%s: next due at %s, want %s", name, got, c.after)
		}
	}
}

// Each start counts for exactly one due time of a crontab.
func TestSlotsTouch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cron := rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 * * 1-5", "0 0 1 * *", "0,1 3 * * *", "0 0 29 2 *"}).Draw(t, "cron")
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"}).Draw(t, "zone")
		r, err := Parse(job.Expectation{Cron: cron, Zone: zone})
		if err != nil {
			t.Fatal(err)
		}
		start := at("2026-01-01 00:00:00").Add(time.Duration(rapid.Int64Range(0, 400*86400).Draw(t, "second")) * time.Second)
		due := r.First(time.Time{}, start)
		_, until := r.Slot(due)
		next := r.Following(due)
		if from, _ := r.Slot(next); !until.Equal(from) {
			t.Fatalf("the slot of %s ends at %s, that of %s begins at %s", due, until, next, from)
		}
		// After returns the due time whose slot begins next.
		if from, _ := r.Slot(r.After(start)); !from.After(start) {
			t.Fatalf("a start at %s counts for the due time %s after it", start, r.After(start))
		}
	})
}

func TestFirst(t *testing.T) {
	every, daily := rule(t, job.Expectation{EverySeconds: 3600}), rule(t, job.Expectation{Cron: "0 3 * * *"})
	now := at("2026-01-02 10:30:00")
	for name, c := range map[string]struct {
		of         Rule
		last, want time.Time
	}{
		"no start":          {every, time.Time{}, at("2026-01-02 11:30:00")},
		"a recent start":    {every, at("2026-01-02 10:00:00"), at("2026-01-02 11:00:00")},
		"an old start":      {every, at("2025-12-02 10:10:00"), at("2026-01-02 11:10:00")},
		"a start to come":   {every, at("2027-01-02 10:10:00"), at("2026-01-02 11:30:00")},
		"a crontab":         {daily, at("2026-01-02 03:00:00"), at("2026-01-03 03:00:00")},
		"an unused crontab": {daily, time.Time{}, at("2026-01-03 03:00:00")},
	} {
		if got := c.of.First(c.last, now); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	r := rule(t, job.Expectation{Cron: "0 3 * * *", GraceSeconds: 3600})
	due := at("2026-01-02 03:00:00")
	up := Watch{Back: at("2026-01-01 00:00:00"), Watched: 24 * time.Hour}
	clock := func(text string) time.Time { return at("2026-01-02 " + text) }
	for name, c := range map[string]struct {
		now    string
		open   Open
		watch  Watch
		want   Verdict
		wantAt string
	}{
		"not due":                      {"02:00:00", Open{}, up, Wait, "03:00:00"},
		"due":                          {"03:00:00", Open{}, up, Wait, "04:00:00"},
		"in its grace":                 {"03:59:59", Open{}, up, Wait, "04:00:00"},
		"after its grace":              {"04:00:00", Open{}, up, Missed, ""},
		"started before its time":      {"02:59:50", Open{Started: true}, up, Kept, ""},
		"started":                      {"05:00:00", Open{Started: true}, up, Kept, ""},
		"a long run is active":         {"04:00:00", Open{Active: true}, up, Kept, ""},
		"a long run may end in time":   {"03:30:00", Open{Active: true}, up, Wait, "04:00:00"},
		"the server is back":           {"06:00:00", Open{}, Watch{Back: clock("06:00:00")}, Wait, "07:00:00"},
		"back for its grace":           {"07:00:00", Open{}, Watch{Back: clock("06:00:00"), Watched: time.Hour}, Missed, ""},
		"back before it was due":       {"04:00:00", Open{}, Watch{Back: clock("02:00:00"), Watched: time.Hour}, Missed, ""},
		"restarted in its grace":       {"03:30:00", Open{}, Watch{Back: clock("03:30:00"), Watched: 30 * time.Minute}, Wait, "04:30:00"},
		"restarted again and again":    {"04:50:00", Open{}, Watch{Back: clock("04:50:00"), Watched: 110 * time.Minute}, Wait, "05:00:00"},
		"restarts delay it no further": {"05:00:00", Open{}, Watch{Back: clock("04:59:00"), Watched: 2 * time.Hour}, Missed, ""},
		"the clock jumped ahead":       {"12:00:00", Open{}, Watch{Back: clock("12:00:00"), Watched: time.Second}, Wait, "13:00:00"},
	} {
		c.open.Due = due
		v, next := r.Judge(c.open, c.watch, clock(c.now))
		if v != c.want || v == Wait && !next.Equal(clock(c.wantAt)) {
			t.Errorf("%s: verdict %d, next %s; want %d, %s", name, v, next, c.want, c.wantAt)
		}
	}
}

// A server that is redeployed every few minutes reports a job that did not run, at the latest when it has
// looked for twice the grace.
func TestRestartsDoNotDelayForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grace := rapid.Int64Range(60, 86400).Draw(t, "grace")
		r, err := Parse(job.Expectation{EverySeconds: 86400, GraceSeconds: grace})
		if err != nil {
			t.Fatal(err)
		}
		due, now, watched := at("2026-01-02 03:00:00"), at("2026-01-02 03:00:00"), time.Duration(0)
		for range 10_000 {
			back := now
			up := time.Duration(rapid.Int64Range(10, 3600).Draw(t, "up")) * time.Second
			missed := r.MissedAt(due, Watch{Back: back, Watched: watched}, now)
			if !missed.After(now.Add(up)) {
				if most := 2*r.Grace + time.Minute; watched+missed.Sub(now) > most {
					t.Fatalf("missed after the server has looked for %s, more than %s", watched+missed.Sub(now), most)
				}
				return
			}
			watched, now = watched+up, now.Add(up+10*time.Second)
		}
		t.Fatal("never missed")
	})
}

// After the clock was set back, nothing is due further away than the expectation allows.
func TestReachable(t *testing.T) {
	every, daily := rule(t, job.Expectation{EverySeconds: 3600}), rule(t, job.Expectation{Cron: "0 3 * * *"})
	now := at("2026-01-02 10:30:00")
	for name, c := range map[string]struct {
		of        Rule
		due, want string
	}{
		"an interval":                {every, "2026-01-02 11:00:00", "2026-01-02 11:00:00"},
		"an interval that is over":   {every, "2026-01-02 09:00:00", "2026-01-02 09:00:00"},
		"an interval too far away":   {every, "2026-01-05 11:00:00", "2026-01-02 11:30:00"},
		"a crontab":                  {daily, "2026-01-03 03:00:00", "2026-01-03 03:00:00"},
		"a crontab, started early":   {daily, "2026-01-04 03:00:00", "2026-01-04 03:00:00"},
		"a crontab too far away":     {daily, "2027-01-03 03:00:00", "2026-01-03 03:00:00"},
		"a crontab that is over due": {daily, "2026-01-01 03:00:00", "2026-01-01 03:00:00"},
	} {
		if got := c.of.Reachable(at(c.due), now); !got.Equal(at(c.want)) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestStateOf(t *testing.T) {
	now := at("2026-01-02 10:30:00")
	for want, got := range map[api.DueState]api.DueState{
		api.DueNew: StateOf(false, false, time.Time{}, now), api.DueOK: StateOf(false, false, now.Add(1), now), api.DueNow: StateOf(false, false, now, now),
		api.DueMissed: StateOf(false, true, now.Add(1), now), api.DuePaused: StateOf(true, true, now, now),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestUpcoming(t *testing.T) {
	daily := rule(t, job.Expectation{Cron: "30 2 * * *", Zone: "Europe/Berlin"})
	got := daily.Upcoming(time.Time{}, at("2026-03-28 12:00:00"), 2)
	if len(got) != 2 || got[0].At.Format("02T15:04") != "29T03:00" || got[0].Change != "the clock skips 02:30" || got[1].Change != "" || !got[0].MissedAt.Equal(got[0].At.Add(DefaultGrace)) {
		t.Errorf("%+v", got)
	}
	every := rule(t, job.Expectation{EverySeconds: 3600})
	got = every.Upcoming(at("2026-03-28 10:10:00"), at("2026-03-28 12:00:00"), 2)
	if len(got) != 2 || !got[0].At.Equal(at("2026-03-28 12:10:00")) || !got[1].At.Equal(at("2026-03-28 13:10:00")) {
		t.Errorf("%+v", got)
	}
	if e := daily.Expectation(); e.GraceSeconds != 3600 || e.Zone != "Europe/Berlin" {
		t.Errorf("%+v", e)
	}
}
