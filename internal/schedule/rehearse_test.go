package schedule

import (
	"strings"
	"testing"
	"time"
)

func TestRehearsal(t *testing.T) {
	berlin := load(t, "Europe/Berlin")
	nightly := Rule{Times: parse(t, "30 2 * * *"), Zone: berlin, CatchUp: true}
	hourly := Rule{Times: parse(t, "0 * * * *"), Zone: berlin, CatchUp: true}
	for _, c := range []struct {
		name, want string
		rules      []Rule
		p          Rehearsal
	}{
		{
			"a change of the clocks", "0 28T02:30 ran, 0 29T03:00 ran [the clock skips 02:30], 0 30T02:30 ran",
			[]Rule{nightly},
			Rehearsal{From: at(t, "2026-03-28 00:00:00"), To: at(t, "2026-03-31 00:00:00"), Skips: true},
		},
		{
			"an outage", "0 28T02:30 ran_late, 1 28T01:00 missed, 1 28T02:00 missed, 1 28T03:00 skipped, 1 28T04:00 ran",
			[]Rule{nightly, hourly},
			Rehearsal{From: at(t, "2026-03-28 00:00:00"), To: at(t, "2026-03-28 03:10:00"), DownFrom: at(t, "2026-03-27 23:00:00"), DownTo: at(t, "2026-03-28 02:10:00"), Skips: true, Lasts: 30 * time.Minute},
		},
		{
			"runs that last", "0 28T01:00 ran, 0 28T02:00 skipped, 0 28T03:00 ran",
			[]Rule{hourly},
			Rehearsal{From: at(t, "2026-03-28 00:00:00"), To: at(t, "2026-03-28 02:10:00"), Lasts: 61 * time.Minute, Skips: true},
		},
	} {
		c.p.Most = 100
		got, more := c.p.Play(c.rules)
		var texts []string
		for _, one := range got {
			text := string(rune('0'+one.Rule)) + one.At.In(berlin).Format(" 02T15:04 ") + string(one.Result)
			if one.Change != "" {
				text += " [" + one.Change + "]"
			}
			texts = append(texts, text)
		}
		if text := strings.Join(texts, ", "); text != c.want || more {
			t.Errorf("%s:\n%s, want\n%s", c.name, text, c.want)
		}
	}
	few := Rehearsal{From: at(t, "2026-03-28 00:00:00"), To: at(t, "2026-03-29 00:00:00"), Most: 5}
	if got, more := few.Play([]Rule{hourly}); len(got) != 5 || !more {
		t.Error(len(got), more)
	}
}
