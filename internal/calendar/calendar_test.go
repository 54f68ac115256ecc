package calendar

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func day(text string) time.Time { return at(text + " 00:00") }

// text shows days that are not empty.
func text(c api.Calendar) string {
	var out []string
	for _, d := range c.Days {
		one := d.Day[5:]
		if d.Change != "" {
			one += " (" + d.Change + ")"
		}
		for _, n := range d.Counts {
			one += fmt.Sprintf(" %d %s", n.Count, strings.TrimSpace(string(n.Result)+" "+n.State))
		}
		if len(one) > 5 {
			out = append(out, one)
		}
	}
	return strings.Join(out, ", ")
}

func TestDaysOfZones(t *testing.T) {
	for _, c := range []struct {
		zone, first, lengths, change string
	}{
		{"UTC", "2026-03-28", "24 24 24", ""},
		{"Europe/Berlin", "2026-03-28", "24 23 24", "clocks go forward from 02:00 to 03:00"},
		{"Europe/Berlin", "2026-10-24", "24 25 24", "clocks go back from 03:00 to 02:00"},
		{"Australia/Lord_Howe", "2026-10-03", "24 23.5 24", "clocks go forward from 02:00 to 02:30"},
		{"America/Santiago", "2026-09-05", "24 23 24", "clocks go forward from 00:00 to 01:00"}, // a day without midnight
		{"America/Havana", "2026-10-31", "24 25 24", "clocks go back from 01:00 to 00:00"},      // a day with two
		{"Pacific/Apia", "2011-12-29", "24 0 24", ""},                                           // a day that was skipped
	} {
		p := Period{Zone: zone(t, c.zone), First: day(c.first), Days: 3}
		var lengths []string
		for i := range p.Days {
			lengths = append(lengths, fmt.Sprint(p.day(i+1).Sub(p.day(i)).Hours()))
		}
		if got := strings.Join(lengths, " "); got != c.lengths {
			t.Errorf("%s: days of %s hours, want %s", c.zone, got, c.lengths)
		}
		got := newBoard(p).days[1]
		if got.Change != c.change {
			t.Errorf("%s: %q, want %q", c.zone, got.Change, c.change)
		}
		if lasts := p.day(2).Sub(p.day(1)); lasts > 0 && lasts != 24*time.Hour-time.Duration(got.ShiftMinutes)*time.Minute {
			t.Errorf("%s: a day of %s with a change of %d minutes", c.zone, lasts, got.ShiftMinutes)
		}
	}
}

func TestTimesAreCountedOnTheirDays(t *testing.T) {
	p := Period{Zone: zone(t, "Europe/Berlin"), First: day("2026-11-02"), Days: 3}
	one := func(text, result, state string, count int64) ResultCount {
		return ResultCount{At: at(text), Last: at(text), Result: result, State: state, Count: count}
	}
	c := New(p, []ResultCount{
		one("2026-11-01 22:30", "ran", "failed", 1), // of the day before
		one("2026-11-01 23:00", "ran", "failed", 1),
		one("2026-11-02 22:45", "ran", "succeeded", 15),
		one("2026-11-03 10:45", "ran", "succeeded", 3),
		// One row, of which 60 are on the second day.
		{At: at("2026-11-02 21:00"), Last: at("2026-11-03 23:59"), Result: "missed", Count: 27 * 60},
	}, nil, []api.CalendarTime{{At: at("2026-11-04 22:59"), Count: 1, Result: api.CalendarPlanned}, {At: at("2026-11-04 23:00"), Count: 1, Result: api.CalendarPlanned}}, 10)
	if got, want := text(c), "11-02 1 ran failed 15 ran succeeded 120 missed, 11-03 3 ran succeeded 1440 missed, 11-04 60 missed 1 planned"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTimesAreListedInOrderUnlessThereAreTooMany(t *testing.T) {
	p := Period{Zone: zone(t, "Europe/Berlin"), First: day("2026-11-02"), Days: 3}
	occurrences := []api.OccurrenceRecord{
		{Schedule: 2, At: at("2026-11-02 03:00"), Last: at("2026-11-02 03:00"), Count: 1, Result: "ran", Run: "r2", Number: 2, State: "failed"},
		{Schedule: 1, At: at("2026-11-02 03:00"), Last: at("2026-11-02 03:00"), Count: 1, Result: "skipped", Why: "a#1 is running"},
	}
	others := []api.CalendarTime{{Expected: true, At: at("2026-11-02 02:00"), Last: at("2026-11-02 02:00"), Count: 1, Result: "missed"}}
	c := New(p, nil, occurrences, others, 3)
	if c.More || len(c.Times) != 3 || !c.Times[0].Expected || c.Times[1].Why != "a#1 is running" || c.Times[2].Run != "r2" || c.Times[2].At.Format("15:04 MST") != "04:00 CET" {
		t.Errorf("%+v", c)
	}
	if c := New(p, nil, occurrences, others, 2); !c.More || len(c.Times) > 0 {
		t.Errorf("%+v", c)
	}
}

func TestTimesOfExpectations(t *testing.T) {
	now := at("2026-11-05 12:00")
	next := func(text string) *time.Time { n := at(text); return &n }
	daily := api.Due{Expectation: job.Expectation{Cron: "0 3 * * *", GraceSeconds: 3600}, State: api.DueOK, SetAt: at("2026-11-01 12:00"), NextDueAt: next("2026-11-06 03:00")}
	missed := api.MissedTime{DueAt: at("2026-11-03 03:00"), LastAt: at("2026-11-03 03:00"), Times: 1}
	for name, c := range map[string]struct {
		e    Expectation
		want string
	}{
		"a crontab": {
			Expectation{Due: daily, Starts: []Start{{At: at("2026-11-02 03:00"), Number: 1, State: "failed"}, {At: at("2026-11-04 09:00"), Number: 2, State: "succeeded"}}, Missed: []api.MissedTime{missed}, Kept: map[string]int64{"2026-11-05": 1}},
			"02T03 ran #1 failed, 03T03 missed, 04T03 ran_late #2 succeeded (started 6h0m0s after it was due, and was known in time), 05T03 ran, 06T03 planned, 07T03 planned",
		},
		"before the first start": {
			Expectation{Due: api.Due{Expectation: daily.Expectation, State: api.DueNew, SetAt: at("2026-11-05 11:00")}},
			"06T03 planned (nothing is due before the first start), 07T03 planned (nothing is due before the first start)",
		},
		"in its grace": {
			Expectation{Due: api.Due{Expectation: job.Expectation{Cron: "30 11 * * *"}, State: api.DueNow, SetAt: at("2026-11-05 11:00"), NextDueAt: next("2026-11-05 11:30")}},
			"05T11 due, 06T11 planned, 07T11 planned",
		},
		"paused": {
			Expectation{Due: api.Due{Expectation: daily.Expectation, State: api.DuePaused, SetAt: at("2026-11-04 23:00")}},
			"05T03 paused, 06T03 planned paused, 07T03 planned paused",
		},
		"missed by what was expected before": {
			Expectation{Due: api.Due{Expectation: daily.Expectation, State: api.DueOK, SetAt: at("2026-11-05 11:00"), NextDueAt: next("2026-11-06 03:00")}, Missed: []api.MissedTime{missed}},
			"03T03 missed, 06T03 planned, 07T03 planned",
		},
		"an interval": {
			Expectation{
				Due:    api.Due{Expectation: job.Expectation{EverySeconds: 86400}, State: api.DueNow, SetAt: at("2026-11-02 03:00"), NextDueAt: next("2026-11-05 11:00")},
				Starts: []Start{{At: at("2026-11-01 03:00"), Number: 1}, {At: at("2026-11-02 02:59"), Number: 2}, {At: at("2026-11-04 11:00"), Number: 3}}, Missed: []api.MissedTime{missed},
			},
			"02T02 ran #2, 03T03 missed, 04T11 ran #3, 05T11 due",
		},
	} {
		times, err := c.e.Times(day("2026-11-02"), day("2026-11-08"), now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range times {
			text := one.At.Format("02T15") + " " + string(one.Result)
			if one.Paused {
				text += " paused"
			}
			if one.Number > 0 {
				text = strings.TrimSpace(fmt.Sprintf("%s #%d %s", text, one.Number, one.State))
			}
			if one.Why != "" && one.Result != "missed" && one.Result != "paused" && one.Result != "ran" {
				text += " (" + one.Why + ")"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

// A calendar of the most days and times is made in moments.
func TestAnExpectationOfEachMinute(t *testing.T) {
	from := day("2026-01-01")
	e := Expectation{Due: api.Due{Expectation: job.Expectation{Cron: "* * * * *"}, State: api.DueOK, SetAt: from, NextDueAt: &from}}
	for s := from; s.Before(from.AddDate(0, 0, MostDays)); s = s.Add(time.Minute) {
		if s.Minute() == 59 {
			e.Missed = append(e.Missed, api.MissedTime{DueAt: s, LastAt: s, Times: 1})
			continue
		}
		e.Starts = append(e.Starts, Start{At: s.Add(time.Second), State: "succeeded"})
	}
	times, err := e.Times(from, from.AddDate(0, 0, MostDays), from.AddDate(1, 0, 0))
	if err != nil || len(times) != MostDays*24*60 {
		t.Fatalf("%d times, %v", len(times), err)
	}
	c := New(Period{Zone: time.UTC, First: from, Days: MostDays}, nil, nil, times, 400)
	for _, d := range c.Days {
		if len(d.Counts) != 2 || d.Counts[0].Count != 59*24 || d.Counts[1].Count != 24 {
			t.Fatalf("%+v", d)
		}
	}
}

func TestCountedSpansHoldNoBoundOfADay(t *testing.T) {
	for _, name := range []string{"Asia/Kathmandu", "Australia/Eucla", "Pacific/Chatham", "Australia/Lord_Howe", "America/St_Johns"} {
		for d := range 366 {
			if at := schedule.FirstInstant(day("2026-01-01").AddDate(0, 0, d), zone(t, name)); at.Unix()%int64(CountSpan/time.Second) != 0 {
				t.Errorf("%s: a day begins at %s", name, at.UTC())
			}
		}
	}
}
