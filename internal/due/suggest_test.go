package due

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"stint.dev/stint/internal/schedule"
)

// history returns the starts of a job by a crontab in a zone, each a little late, in the days before a time.
func history(t *testing.T, cron, zone string, days int, until time.Time, late time.Duration) []time.Time {
	t.Helper()
	times, err := schedule.Parse(cron)
	if err != nil {
		t.Fatal(err)
	}
	in := zoneNamed(t, zone)
	r := rand.New(rand.NewPCG(1, 2))
	var starts []time.Time
	for at := times.Next(until.AddDate(0, 0, -days), in); !at.After(until); at = times.Next(at, in) {
		starts = append(starts, at.Add(time.Second+time.Duration(r.Int64N(int64(late)))).UTC())
	}
	return starts
}

func zoneNamed(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// text is what is suggested, in one line.
func (s *Suggestion) text() string {
	if s == nil {
		return ""
	}
	if s.Cron != "" {
		return fmt.Sprintf("%s %s: %s ± %s", s.Cron, s.Zone, s.When, s.Off)
	}
	return fmt.Sprintf("%ds: %s ± %s", s.EverySeconds, s.When, s.Off)
}

func TestSuggestions(t *testing.T) {
	noon := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)        // a Wednesday
	afterChange := time.Date(2026, 4, 12, 12, 0, 0, 0, time.UTC) // two weeks after clocks went forward in Berlin
	const minute = time.Minute
	without := func(starts []time.Time, some ...int) []time.Time {
		out := slices.Clone(starts)
		for i := len(some) - 1; i >= 0; i-- {
			out = slices.Delete(out, some[i], some[i]+1)
		}
		return out
	}
	with := func(starts []time.Time, more ...time.Time) []time.Time {
		out := append(slices.Clone(starts), more...)
		slices.SortFunc(out, time.Time.Compare)
		return out
	}
	var byHand []time.Time
	for i := range 8 {
		byHand = append(byHand, noon.Add(-time.Duration(i*37)*time.Hour-11*minute))
	}
	daily := history(t, "0 3 * * *", "UTC", 30, noon, 4*minute)
	for _, c := range []struct {
		name   string
		starts []time.Time
		now    time.Time
		want   string
	}{
		{"each day", daily, noon, "0 3 * * * UTC: each day at 03:00 ± 4m0s"},
		{"at midnight", history(t, "0 0 * * *", "UTC", 30, noon, 10*time.Second), noon, "0 0 * * * UTC: each day at 00:00 ± 1m0s"},
		{"just before midnight, and after", history(t, "50 23 * * *", "UTC", 30, noon, 25*minute), noon, "50 23 * * * UTC: each day at 23:50 ± 24m0s"},
		{"seven days", history(t, "0 3 * * *", "UTC", 7, noon, minute), noon, ""},
		{"eight days", history(t, "0 3 * * *", "UTC", 8, noon, minute), noon, "0 3 * * * UTC: each day at 03:00 ± 1m0s"},
		{"and runs by hand", with(daily, byHand...), noon, "0 3 * * * UTC: each day at 03:00 ± 4m0s"},
		{"missed twice of thirty", without(daily, 7, 20), noon, "0 3 * * * UTC: each day at 03:00 ± 4m0s"},
		{"missed often", without(daily, 3, 7, 11, 15, 20), noon, ""},
		{"it does not run any more", daily[:25], noon, ""},
		{"over a change of the clocks", history(t, "30 2 * * *", "Europe/Berlin", 30, afterChange, minute), afterChange, "30 2 * * * Europe/Berlin: each day at 02:30 ± 1m0s"},
		{"in UTC over a change of the clocks", history(t, "30 2 * * *", "UTC", 30, afterChange, minute), afterChange, "30 2 * * * UTC: each day at 02:30 ± 1m0s"},
		{"working days", history(t, "15 7 * * 1-5", "UTC", 30, noon, minute), noon, "15 7 * * 1-5 UTC: from Monday to Friday at 07:15 ± 1m0s"},
		{"each week", history(t, "0 4 * * 0", "UTC", 80, noon, minute), noon, "0 4 * * 0 UTC: each Sunday at 04:00 ± 1m0s"},
		{"three weeks", history(t, "0 4 * * 0", "UTC", 20, noon, minute), noon, ""},
		{"each hour", history(t, "5 * * * *", "UTC", 10, noon, minute), noon, "3600s: every hour ± 1m0s"},
		{"each hour, of a day", history(t, "5 * * * *", "UTC", 1, noon, minute), noon, ""},
		{"each hour in the day", history(t, "0 9-17 * * *", "UTC", 14, noon, minute), noon, ""},
		{"each hour of working days", history(t, "0 * * * 1-5", "UTC", 14, noon, minute), noon, ""},
		{"each five minutes", history(t, "*/5 * * * *", "UTC", 5, noon, 10*time.Second), noon, "300s: every 5 minutes ± 1m0s"},
		{"each minute", history(t, "* * * * *", "UTC", 3, noon, time.Second), noon, "60s: every minute ± 1m0s"},
		{"each six hours", history(t, "0 */6 * * *", "UTC", 10, noon, minute), noon, "21600s: every 6 hours ± 1m0s"},
		{"each five minutes in the day", history(t, "*/5 9-17 * * *", "UTC", 14, noon, 10*time.Second), noon, ""},
		{"each month", history(t, "0 4 1 * *", "UTC", 365, noon, minute), noon, ""},
		{"never", nil, noon, ""},
		{"once", daily[:1], noon, ""},
		{"only times to come", []time.Time{noon.Add(time.Hour)}, noon, ""},
	} {
		zones := []*time.Location{zoneNamed(t, "Europe/Berlin"), time.UTC}
		if c.name != "over a change of the clocks" && c.name != "in UTC over a change of the clocks" {
			zones = zones[1:]
		}
		starts := c.starts[max(0, len(c.starts)-MostStarts):]
		got := Suggest(starts, zones, c.now)
		if got.text() != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.text(), c.want)
		}
	}
}

// Whatever is suggested is valid, would not have been missed at the last start, and is never suggested for starts at
// random.
func TestNothingIsSuggestedForStartsAtRandom(t *testing.T) {
	now := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
	zones := []*time.Location{zoneNamed(t, "Europe/Berlin"), zoneNamed(t, "America/New_York"), time.UTC}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		mean := time.Duration(float64(time.Minute) * math.Pow(10, 4*r.Float64())) // from a minute to a week
		var starts []time.Time
		for at, n := now, r.IntN(500); len(starts) < n; {
			at = at.Add(-time.Duration(r.ExpFloat64() * float64(mean)))
			starts = append(starts, at)
		}
		slices.Reverse(starts)
		if s := Suggest(starts, zones, now); s != nil {
			t.Fatalf("seed %d: %d starts about each %s: %s", seed, len(starts), mean, s.text())
		}
	}
}

// A series that is kept is found whatever its time, zone and delay is, and is a valid expectation.
func TestSeriesAreFound(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	names := []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"}
	for range 300 {
		now := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), 0, 0, time.UTC)
		name := names[r.IntN(len(names))]
		cron := fmt.Sprintf("%d %d * * %s", r.IntN(60), 4+r.IntN(19), []string{"*", "1-5", "3"}[r.IntN(3)])
		starts := history(t, cron, name, 60, now, time.Duration(1+r.IntN(20))*time.Minute)
		got := Suggest(starts, []*time.Location{zoneNamed(t, name)}, now)
		if got == nil || got.Zone != name || got.When == "" {
			t.Fatalf("seed %d: %s %s until %s: %q", seed, cron, name, now, got.text())
		}
		rule, err := Parse(got.Expectation)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range starts[len(starts)-3:] { // each start counts for a due time of its own, within the grace
			due := rule.times.Next(at.Add(-startsWithin), rule.zone)
			if from, until := rule.Slot(due); at.Before(from) || !at.Before(until) || at.Sub(due) > rule.Grace {
				t.Errorf("seed %d: %s %s: %s does not count for %s by %s", seed, cron, name, at, due, got.text())
			}
		}
	}
}
