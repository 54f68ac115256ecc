package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestExplain(t *testing.T) {
	hour, soon := noon.Add(time.Hour), noon.Add(10*time.Minute)
	gone := noon.Add(-time.Hour)
	etl := Needed{Name: "etl#88", State: job.Running, When: WhenSucceeded, EndsAbout: &soon}
	full := &Group{Name: "db", Limit: 1, Active: 1, Holders: []Needed{etl}}
	for name, c := range map[string]struct {
		facts Facts
		want  string // gates with when they open, and the start
	}{
		"nothing": {Facts{}, " -> 12:00"},
		"held":    {Facts{Held: "restored"}, "held A person must release it: restored. -> ?"},
		"after":   {Facts{After: []Needed{etl}}, "after Waits until etl#88 has succeeded; it is running. 12:10 -> 12:10"},
		"later":   {Facts{NotBefore: &hour}, "not_before May start at " + job.TimeText(hour) + ". 13:00 -> 13:00"},
		"earlier": {Facts{NotBefore: &gone}, " -> 12:00"},
		"paused":  {Facts{Paused: &Pause{By: "bob", Why: "move"}}, "paused The job is paused by bob: move. -> ?"},
		"group":   {Facts{Group: full}, "group The group db has 1 of 1 places taken, by etl#88. 12:10 -> 12:10"},
		"held by a lost run": {
			Facts{Group: &Group{Name: "db", Limit: 1, Active: 2, Holders: []Needed{etl, {Name: "etl#87", State: job.Lost, HeldUntil: &hour, EndsAbout: &hour}}}},
			"group The group db has 2 of 1 places taken, by etl#88, etl#87 (lost, may be alive, keeps its place until " + job.TimeText(hour) + "). 12:10 -> 12:10",
		},
		"in a group": {Facts{Group: full, Ahead: 2, Usual: 5 * time.Minute}, "group The group db has 1 of 1 places taken, by etl#88. 12:20 -> 12:20"},
		"unknown":    {Facts{Group: full, Ahead: 2}, "group The group db has 1 of 1 places taken, by etl#88. -> ?"},
		"room":       {Facts{Group: &Group{Name: "db", Limit: 2, Active: 1}}, " -> 12:00"},
		"lowered":    {Facts{Group: &Group{Name: "db", Limit: 0, Active: 3}}, "group The group db has 3 of 0 places taken. -> ?"},
		"no worker": {
			Facts{Supply: &Supply{Workers: 5}, Selector: Selector{Requires: map[string]string{"gpu": "a100", "zone": "fra"}, Command: true}},
			"no_worker None of the 5 workers can take it; it needs gpu=a100 zone=fra --allow-commands. -> ?",
		},
		"almost": {
			Facts{Supply: &Supply{Workers: 5, OtherSpec: 2, OtherJob: 1}},
			"no_worker None of the 5 workers can take it; 2 would, with another version of stint; 1 would if allowed to take the job (--allow). -> ?",
		},
		"no memory": {
			Facts{Supply: &Supply{Workers: 5, Memory: 4 << 30}, Selector: Selector{Requires: map[string]string{"zone": "fra"}, Memory: 6 << 30}},
			"no_worker None of the 5 workers can take it; it needs zone=fra 6 GiB of memory, and the largest of them has 4 GiB. -> ?",
		},
		"no slot": {
			Facts{Supply: &Supply{Workers: 5, Matching: 3, Slots: 4}, Usual: time.Minute, Ahead: 7},
			"no_slot 3 of 5 workers could take it, and all of their 4 slots are in use. 12:02 -> 12:02",
		},
		"turn": {
			Facts{Supply: &Supply{Workers: 5, Matching: 3, Slots: 4, Free: 1}, Usual: time.Minute, Ahead: 3},
			"turn 3 runs come first. 12:01 -> 12:01",
		},
		"two": {
			Facts{NotBefore: &hour, Group: full},
			"not_before May start at " + job.TimeText(hour) + ". 13:00, group The group db has 1 of 1 places taken, by etl#88. 12:10 -> 13:00",
		},
	} {
		gates, start := Explain(c.facts, noon)
		var all []string
		for _, g := range gates {
			text := g.Gate + " " + g.Text
			if g.OpensAt != nil {
				text += " " + g.OpensAt.Format("15:04")
			}
			all = append(all, text)
		}
		at := "?"
		if start != nil {
			at = start.Format("15:04")
		}
		if got := fmt.Sprintf("%s -> %s", strings.Join(all, ", "), at); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}
