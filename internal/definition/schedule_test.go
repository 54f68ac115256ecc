package definition

import (
	"slices"
	"testing"
	"time"
)

func TestPair(t *testing.T) {
	cron := func(text string) Schedule { return Schedule{Cron: text} }
	windowed := cron("0 1 * * *")
	windowed.Window = Duration(time.Hour)
	for _, c := range []struct {
		name          string
		before, after []Schedule
		want          []int
	}{
		{"new", nil, []Schedule{cron("0 1 * * *")}, []int{-1}},
		{"the same", []Schedule{cron("0 1 * * *"), cron("0 2 * * *")}, []Schedule{cron("0 1 * * *"), cron("0 2 * * *")}, []int{0, 1}},
		{"another order", []Schedule{cron("0 1 * * *"), cron("0 2 * * *")}, []Schedule{cron("0 2 * * *"), cron("0 1 * * *")}, []int{1, 0}},
		{"one goes", []Schedule{cron("0 1 * * *"), cron("0 2 * * *")}, []Schedule{cron("0 2 * * *")}, []int{1}},
		{"one changes its times", []Schedule{cron("0 1 * * *"), cron("0 2 * * *")}, []Schedule{cron("0 3 * * *"), cron("0 2 * * *")}, []int{0, 1}},
		{"one is put first", []Schedule{cron("0 1 * * *")}, []Schedule{cron("0 3 * * *"), cron("0 1 * * *")}, []int{-1, 0}},
		{"equal before of the same times", []Schedule{windowed, cron("0 1 * * *")}, []Schedule{cron("0 1 * * *"), windowed}, []int{1, 0}},
		{"the same times with another window", []Schedule{cron("0 2 * * *"), cron("0 1 * * *")}, []Schedule{windowed}, []int{1}},
	} {
		if got := Pair(c.before, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A schedule is due in its own zone, and in that of the job without one.
func TestRule(t *testing.T) {
	d := mustParse(t, "job: a\ncommand: [b]\nzone: Europe/Berlin\nschedules:\n- {cron: '30 2 * * *'}\n- {cron: '30 2 * * *', zone: Asia/Kolkata, catch_up: none}\n"+
		"- {every: 90m}\n- {every: 90m, anchor: '2026-03-01T00:20:00Z', window: 2h}\n")
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i, want := range []string{"2026-03-01T02:30:00+01:00", "2026-03-01T02:30:00+05:30", "2026-03-01T02:30:00+01:00", "2026-03-01T01:20:00+01:00"} {
		r, err := d.Rule(d.Schedules[i])
		if err != nil {
			t.Fatal(err)
		}
		begin := at
		if i == 1 {
			begin = at.Add(-12 * time.Hour)
		}
		if got := r.Times.Next(begin, r.Zone).Format(time.RFC3339); got != want {
			t.Errorf("schedule %d: %s, want %s", i+1, got, want)
		}
		if r.CatchUp != (i != 1) || r.Window != []time.Duration{0, 0, 0, 2 * time.Hour}[i] {
			t.Errorf("schedule %d: %+v", i+1, r)
		}
	}
	if got := d.Schedules[3].Text(); got != "every 1h30m from 2026-03-01T00:20:00Z" {
		t.Error(got)
	}
}
