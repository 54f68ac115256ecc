package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// listed writes slots as "02:00 ran_late", several as "01:00-05:00 x 5 missed".
func listed(slots []Slot) string {
	var all []string
	for _, s := range slots {
		text := s.At.Format("15:04")
		if s.Count > 1 {
			text += fmt.Sprintf("-%s x %d", s.Last.Format("15:04"), s.Count)
		}
		all = append(all, text+" "+string(s.Result))
	}
	return strings.Join(all, ", ")
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		name, cron, next, now string
		change                func(*Rule)
		paused                bool
		want, following       string
	}{
		{"not yet", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 01:59:59", nil, false, "", "02:00"},
		{"in time", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:00:00", nil, false, "02:00 ran", "03:00"},
		{"a minute late is in time", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:01:00", nil, false, "02:00 ran", "03:00"},
		{"more is late", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:01:01", nil, false, "02:00 ran_late", "03:00"},
		{"the last is made up for", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 05:30:00", nil, false, "02:00 missed, 03:00 missed, 04:00 missed, 05:00 ran_late", "06:00"},
		{"or started in time", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 05:00:30", nil, false, "02:00 missed, 03:00 missed, 04:00 missed, 05:00 ran", "06:00"},
		{"no catching up", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 04:30:00", func(r *Rule) { r.CatchUp = false }, false, "02:00 missed, 03:00 missed, 04:00 missed", "05:00"},
		{"older than the window", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:30:01", func(r *Rule) { r.Window = 30 * time.Minute }, false, "02:00 missed", "03:00"},
		{"as old as the window", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:30:00", func(r *Rule) { r.Window = 30 * time.Minute }, false, "02:00 ran_late", "03:00"},
		{"older than a day", "0 2 * * *", "2026-11-27 02:00:00", "2026-11-29 01:59:00", nil, false, "02:00 missed, 02:00 ran_late", "02:00"},
		{"paused", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 03:00:10", nil, true, "02:00 paused, 03:00 paused", "04:00"},
		{"spread", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:04:59", func(r *Rule) { r.Spread = 5 * time.Minute }, false, "", "02:00"},
		{"with its spread", "0 * * * *", "2026-11-29 02:00:00", "2026-11-29 02:05:30", func(r *Rule) { r.Spread = 5 * time.Minute }, false, "02:00 ran", "03:00"},
		{"two within a minute", "* * * * *", "2026-11-29 02:00:00", "2026-11-29 02:01:00", nil, false, "02:00 ran, 02:01 ran", "02:02"},
		{"never again", "0 0 29 2 *", "2104-02-29 00:00:00", "2104-02-29 00:00:00", nil, false, "00:00 ran", "00:00"},
	} {
		r := Rule{Times: parse(t, c.cron), Zone: time.UTC, CatchUp: true}
		if c.change != nil {
			c.change(&r)
		}
		slots, following := r.Due(at(t, c.next), at(t, c.now), c.paused)
		if got := listed(slots); got != c.want || following.Format("15:04") != c.following {
			t.Errorf("%s: %q, then %s; want %q, then %s", c.name, got, following.Format("15:04"), c.want, c.following)
		}
		for _, s := range slots {
			if (s.Why == "") != (s.Result == Ran) {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
	}
}

// Nine hours in which nothing could be started, over 540 times: each has its reason, and one is started.
func TestNineHours(t *testing.T) {
	r := Rule{Times: parse(t, "* * * * *"), Zone: time.UTC, CatchUp: true}
	slots, _ := r.Due(at(t, "2026-11-29 00:00:00"), at(t, "2026-11-29 08:59:59"), false)
	started := 0
	for _, s := range slots {
		if s.Result == Ran || s.Result == RanLate {
			started++
		}
		if s.Count != 1 || s.Result == Missed && s.Why == "" {
			t.Fatalf("%+v", s)
		}
	}
	if len(slots) != 540 || started != 1 {
		t.Fatalf("%d times, %d started", len(slots), started)
	}
}

// Whatever a rule says: no time is left out or listed twice, neighbors beyond the bound are one, at most what is
// in time and one more is started, and looking often starts what looking once would not have missed.
func TestDueModel(t *testing.T) {
	all := []Times{Every{11 * time.Minute, at(t, "2026-11-29 00:03:00")}, parse(t, "* * * * *"), parse(t, "*/7 * * * *"), parse(t, "30 2 * * *"), parse(t, "0 */6 * * 1-5")}
	rapid.Check(t, func(rt *rapid.T) {
		r := Rule{
			Times: rapid.SampledFrom(all).Draw(rt, "times"), Zone: time.UTC,
			Spread:  time.Duration(rapid.IntRange(0, 600).Draw(rt, "spread")) * time.Second,
			CatchUp: rapid.Bool().Draw(rt, "catch up"),
			Window:  time.Duration(rapid.IntRange(0, 3000).Draw(rt, "window")) * time.Minute,
		}
		paused := rapid.Bool().Draw(rt, "paused")
		begin := at(t, "2026-11-29 00:00:00")
		next := r.Times.Next(begin, r.Zone)
		now := begin
		counted, latest := 0, begin
		for range rapid.IntRange(1, 5).Draw(rt, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 6000).Draw(rt, "minutes")) * time.Minute)
			slots, following := r.Due(next, now, paused)
			late, run := 0, map[string]int{}
			for _, s := range slots {
				counted += s.Count
				if !s.At.After(latest) || s.Last.Before(s.At) || s.Count > 1 && s.Result != Missed && s.Result != Paused {
					rt.Fatalf("%+v after %s", s, latest)
				}
				latest = s.Last
				if s.Result == RanLate {
					late++
				}
				if s.Result == Ran && now.Sub(s.At.Add(r.Spread)) > LateAfter {
					rt.Fatalf("%+v at %s is not in time", s, now)
				}
				if run[s.Why]++; run[s.Why] > MostEqual+1 {
					rt.Fatalf("%d neighbors because %s", run[s.Why], s.Why)
				}
			}
			if late > 1 || late == 1 && (!r.CatchUp || paused || slots[len(slots)-1].Result != RanLate) {
				rt.Fatalf("%d started late", late)
			}
			if following.Add(r.Spread).Before(now) {
				rt.Fatalf("%s is left out at %s", following, now)
			}
			next = following
		}
		want := 0
		for t := r.Times.Next(begin, r.Zone); !t.Add(r.Spread).After(now); t = r.Times.Next(t, r.Zone) {
			want++
		}
		if counted != want {
			rt.Fatalf("%d times are listed, %d were due", counted, want)
		}
	})
}
