package queue

import (
	"testing"
	"time"
)

func TestWithheldBy(t *testing.T) {
	end := func(minute int, lost bool, why string) EndedClaim {
		return EndedClaim{At: noon.Add(time.Duration(minute) * time.Minute), Lost: lost, Reason: why}
	}
	for name, c := range map[string]struct {
		ends []EndedClaim
		want string
	}{
		"none": {nil, ""},
		"two":  {[]EndedClaim{end(-1, false, "a"), end(-2, false, "b")}, ""},
		"given back": {
			[]EndedClaim{end(-1, false, "the directory is missing."), end(-3, false, "b"), end(-2, false, "c")},
			"Worker w7 is not offered report until 2026-11-29 12:09:00 UTC, because 3 claims of it ended without a start (3 given back), the last one because the directory is missing.",
		},
		"lost": {
			[]EndedClaim{end(-5, false, "a"), end(-4, true, "b"), end(-3, true, "it did not name the claim any more"), end(-14, false, "too long ago")},
			"Worker w7 is not offered report until 2026-11-29 12:07:00 UTC, because 3 claims of it ended without a start (1 given back, 2 lost), the last one because it did not name the claim any more.",
		},
		"over": {[]EndedClaim{end(-12, false, "a"), end(-11, false, "b"), end(-10, false, "c")}, ""},
	} {
		w, withheld := WithheldBy(c.ends, noon)
		w.Worker, w.Job = "w7", "report"
		if withheld != (c.want != "") || withheld && w.Text() != c.want {
			t.Errorf("%s: %t, %s", name, withheld, w.Text())
		}
	}
}

// A worker that is not offered a run counts as one that could take it, and its slots do not.
func TestSupplyWithoutTheWithheld(t *testing.T) {
	apart := Worker{Specs: []int{1}, Slots: 4, Free: 4, Withheld: []Withheld{{Work: "another"}, {Work: "hash", Worker: "w7"}}}
	full := Worker{Specs: []int{1}, Slots: 2}
	for name, c := range map[string]struct {
		workers []Worker
		work    string
		want    Gate
	}{
		"offered":           {[]Worker{apart}, "other", ""},
		"not offered":       {[]Worker{apart}, "hash", Apart},
		"beside one full":   {[]Worker{apart, full}, "hash", NoSlot},
		"beside a free one": {[]Worker{apart, {Specs: []int{1}, Slots: 1, Free: 1}}, "hash", ""},
	} {
		if got := SupplyFor(c.workers, Selector{Spec: 1}, "report", c.work); got.Gate() != c.want || got.Matching != len(c.workers) {
			t.Errorf("%s: %+v, %q", name, got, got.Gate())
		}
	}
}
