package keep

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	day := func(n float64) time.Time { return noon.Add(-time.Duration(n * float64(24*time.Hour))) }
	// Of each job from the last run back: "a" has one that is active and one without an end, "b" has ended ones.
	runs := []Run{
		{ID: "a5", Job: "a", StartAt: day(1), CreatedAt: day(1), Reported: day(0), Bytes: 100},
		{ID: "a4", Job: "a", StartAt: day(2), CreatedAt: day(2), EndedAt: day(2), Reported: day(2), Ended: true, Bytes: 10},
		{ID: "a3", Job: "a", StartAt: day(3), CreatedAt: day(3), Reported: day(3), Ended: true, Bytes: 10},
		{ID: "a2", Job: "a", StartAt: day(9), CreatedAt: day(9), EndedAt: day(1), Reported: day(1), Ended: true, Bytes: 10},
		{ID: "a1", Job: "a", StartAt: day(10), CreatedAt: day(10), EndedAt: day(-900), Reported: day(10), Ended: true, Bytes: 10},
		{ID: "b2", Job: "b", StartAt: day(5), CreatedAt: day(5), EndedAt: day(5), Reported: day(5), Ended: true, Bytes: 10},
		{ID: "b1", Job: "b", StartAt: day(6), CreatedAt: day(6), EndedAt: day(6), Reported: day(6), Ended: true, Bytes: 10},
	}
	ofA := func(rule Rule) Setting { return Setting{Job: "a", Rule: rule} }
	for _, c := range []struct {
		name   string
		limits Limits
		bytes  int64
		want   string
	}{
		{"nothing", Limits{allDays: 0, allRuns: 0}, 0, ""},
		{"days", Limits{allDays: OfDays(4)}, 0, "--keep-days a1 b1 b2"},
		{"days exactly", Limits{allDays: OfDays(5)}, 0, "--keep-days a1 b1"},
		{"runs", Limits{allRuns: 2}, 0, "--keep-runs a1 a2"},
		{"days before runs", Limits{allDays: OfDays(2.5), allRuns: 1}, 0, "--keep-days a1 a3 b1 b2, --keep-runs a2"},
		{"a job keeps all", Limits{allDays: OfDays(4), ofA(Days): 0}, 0, "--keep-days b1 b2"},
		{"a job keeps less", Limits{allRuns: 2, ofA(Runs): 1}, 0, "keep.runs a1 a2 a3"},
		{"a job has one rule of its own", Limits{allDays: OfDays(4), allRuns: 1, ofA(Runs): 3}, 0, "--keep-days a1 b1 b2"},
		{"bytes: active runs count for half", Limits{}, 100, "--keep-bytes a1"},
		{"bytes: the last run of a job goes last", Limits{}, 20, "--keep-bytes a1 a2 a3 a4 b1"},
		{"bytes: at last every run that has ended", Limits{}, 1, "--keep-bytes a1 a2 a3 a4 b1 b2"},
	} {
		p := Plan{Now: noon, Limits: c.limits, Bytes: c.bytes}
		for _, r := range runs {
			p.Stored += r.Bytes
		}
		for _, r := range runs {
			p.Add(r)
		}
		var got []string
		for _, tally := range p.Finish() {
			var ids []string
			for _, id := range []string{"a1", "a2", "a3", "a4", "a5", "b1", "b2"} {
				if by, found := p.Deleted[id]; found && by == tally.Setting {
					ids = append(ids, id)
				}
			}
			if len(ids) != tally.Runs || tally.Bytes != int64(10*len(ids)) {
				t.Errorf("%s: %+v has other runs: %s", c.name, tally, ids)
			}
			if len(ids) > 0 {
				got = append(got, fmt.Sprint(tally.Name(), " ", strings.Join(ids, " ")))
			}
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
		if p.Runs != 6 {
			t.Errorf("%s: %d runs have ended", c.name, p.Runs)
		}
	}
}
