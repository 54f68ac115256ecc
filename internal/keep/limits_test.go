package keep

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	allDays = Setting{Rule: Days}
	allRuns = Setting{Rule: Runs}
	ofA     = Setting{Job: "a", Rule: Runs}
	ofB     = Setting{Job: "b", Rule: Runs}
)

func inForce(s Setting, limit int64) Row {
	return Row{Setting: s, Limit: limit, InForce: true, UsedAt: noon}
}

func waiting(s Setting, limit int64, waited time.Duration) Row {
	return Row{Setting: s, Limit: limit, Waited: waited, UsedAt: noon}
}

func TestWhatWaits(t *testing.T) {
	many, few := Count{Runs: 11, Of: 100}, Count{Runs: 10, Of: 100}
	for _, c := range []struct {
		name   string
		table  Table
		wanted Limits
		counts map[Setting]Count
		atOnce bool
		want   Limits // that are used
		begun  int
	}{
		{"the first one, that deletes much", nil, Limits{allRuns: 3}, map[Setting]Count{allRuns: many}, false, Limits{allRuns: 0}, 1},
		{"a tenth", nil, Limits{allRuns: 3}, map[Setting]Count{allRuns: few}, false, Limits{allRuns: 3}, 0},
		{"an empty database", nil, Limits{allRuns: 3}, map[Setting]Count{allRuns: {}}, false, Limits{allRuns: 3}, 0},
		{"at once", nil, Limits{allRuns: 3}, map[Setting]Count{allRuns: many}, true, Limits{allRuns: 3}, 0},
		{"no limit", nil, Limits{allRuns: 0}, nil, false, Limits{allRuns: 0}, 0},
		{"as before", Table{inForce(allRuns, 3)}, Limits{allRuns: 3}, nil, false, Limits{allRuns: 3}, 0},
		{"less strict", Table{inForce(allRuns, 3)}, Limits{allRuns: 40}, nil, false, Limits{allRuns: 40}, 0},
		{"no limit any more", Table{inForce(allRuns, 3)}, Limits{allRuns: 0}, nil, false, Limits{allRuns: 0}, 0},
		{"stricter", Table{inForce(allRuns, 40)}, Limits{allRuns: 4}, map[Setting]Count{allRuns: many}, false, Limits{allRuns: 40}, 1},
		{"as another server", Table{inForce(allRuns, 4), inForce(allRuns, 40)}, Limits{allRuns: 40}, nil, false, Limits{allRuns: 40}, 0},
		{"less strict than another server", Table{inForce(allRuns, 4)}, Limits{allRuns: 10}, nil, false, Limits{allRuns: 10}, 0},
		{"what another server waits for is nothing to this one", Table{inForce(allRuns, 40), waiting(allRuns, 4, 0)}, Limits{allRuns: 40}, nil, false, Limits{allRuns: 40}, 0},
		{"what waits, at once", Table{inForce(allRuns, 40), waiting(allRuns, 4, 0)}, Limits{allRuns: 4}, nil, true, Limits{allRuns: 4}, 0},
		{"a job as all jobs", Table{inForce(allRuns, 3)}, Limits{allRuns: 3, ofA: 3}, nil, false, Limits{allRuns: 3, ofA: 3}, 0},
		{"a job that keeps more", Table{inForce(allRuns, 3)}, Limits{allRuns: 3, ofA: 0}, nil, false, Limits{allRuns: 3, ofA: 0}, 0},
		{"a job that keeps much less", Table{inForce(allRuns, 40)}, Limits{allRuns: 40, ofA: 4}, map[Setting]Count{ofA: many}, false, Limits{allRuns: 40, ofA: 40}, 1},
		{
			"two that together delete much", nil,
			Limits{ofA: 3, ofB: 3},
			map[Setting]Count{ofA: {Runs: 6, Of: 100}, ofB: {Runs: 5, Of: 100}},
			false,
			Limits{ofA: 0, ofB: 3},
			1,
		},
		{"another rule", Table{inForce(allRuns, 3)}, Limits{allRuns: 3, allDays: 7}, map[Setting]Count{allDays: many}, false, Limits{allRuns: 3, allDays: 0}, 1},
	} {
		change := c.table.Decide(Check{Now: noon, Wanted: c.wanted, Counts: c.counts, AtOnce: c.atOnce})
		if diff := cmp.Diff(c.want, change.Limits); diff != "" || len(change.Begun) != c.begun {
			t.Errorf("%s: %d begin to wait, want %d; (-want +got) %s", c.name, len(change.Begun), c.begun, diff)
		}
		for s, want := range c.wanted {
			if got := c.table.Effective(s, want); !c.atOnce && c.begun > 0 && got != change.Limits[s] && c.counts[s] != few && c.counts[s].Runs > 5 {
				t.Errorf("%s: %v is %d, and Effective says %d", c.name, s, change.Limits[s], got)
			}
		}
	}
}

// apply returns a table after a change, as the database has it.
func (t Table) apply(c Change) Table {
	var out Table
	for _, r := range t {
		gone := false
		for _, other := range append(c.Forget, c.Store...) {
			gone = gone || other.Setting == r.Setting && other.Limit == r.Limit
		}
		if !gone {
			out = append(out, r)
		}
	}
	return append(out, c.Store...)
}

// A limit waits for 24 hours in which a server runs and checks it.
func TestTheDelayEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		step func(i int) time.Duration // since the check before
		want int                       // checks
	}{
		{"each minute", func(int) time.Duration { return time.Minute }, 24 * 60},
		{"each ten minutes", func(int) time.Duration { return 10 * time.Minute }, 24 * 6},
		{"after a stop of a week", func(i int) time.Duration {
			if i == 5 {
				return 7 * 24 * time.Hour
			}
			return 10 * time.Minute
		}, 24 * 6},
		{"after a clock was set back by a day", func(i int) time.Duration {
			if i == 5 {
				return -24 * time.Hour
			}
			return 10 * time.Minute
		}, 24*6 + 1},
	} {
		table, now, checks := Table{inForce(allRuns, 40)}, noon, 0
		wanted := Limits{allRuns: 4}
		change := table.Decide(Check{Now: now, Wanted: wanted, Counts: map[Setting]Count{allRuns: {Runs: 50, Of: 100}}})
		for change.Limits[allRuns] != 4 && checks < 2000 {
			table = table.apply(change)
			if len(table) != 2 || len(table.Pending()) != 1 || table.Pending()[0].Now != 40 {
				t.Fatalf("%s: %+v", c.name, table)
			}
			checks++
			now = now.Add(c.step(checks))
			change = table.Decide(Check{Now: now, Wanted: wanted, Forgets: true})
		}
		if checks != c.want || len(change.Applied) != 1 || !change.Applied[0].SeenAt.Equal(noon) {
			t.Errorf("%s: in force after %d checks, want %d: %+v", c.name, checks, c.want, change)
		}
	}
}

// A limit that no server has used for an hour is forgotten by one that has run for long enough, and then waits again. The only
// server of a database forgets at once what it does not use any more.
func TestUnusedLimitsAreForgotten(t *testing.T) {
	table := Table{inForce(allRuns, 4), inForce(allRuns, 40)}
	for _, c := range []struct {
		name           string
		after          time.Duration
		alone, forgets bool
		want           int
	}{
		{"soon", time.Hour, false, true, 0},
		{"by a server that has just started", 2 * time.Hour, false, false, 0},
		{"later", 2 * time.Hour, false, true, 1},
		{"by the only server", time.Hour, true, false, 1},
	} {
		change := table.Decide(Check{Now: noon.Add(c.after), Wanted: Limits{allRuns: 40}, Alone: c.alone, Forgets: c.forgets})
		if len(change.Forget) != c.want || len(change.Store) != 1 {
			t.Errorf("%s: %+v", c.name, change)
		}
		for _, r := range change.Forget {
			if r.Limit != 4 {
				t.Errorf("%s: %+v is forgotten", c.name, r)
			}
		}
	}
}

// A limit that was made looser, and then stricter again by mistake, is not compared with the first one: also of policies, which
// all servers share.
func TestALooserLimitReplacesTheOneInForce(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    Setting
		alone bool
	}{{"of the only server", allRuns, true}, {"of a policy", ofA, false}} {
		table := Table{inForce(c.of, 5)}
		table = table.apply(table.Decide(Check{Now: noon, Wanted: Limits{c.of: 50}, Alone: c.alone}))
		change := table.Decide(Check{
			Now: noon.Add(time.Minute), Wanted: Limits{c.of: 6}, Alone: c.alone, Counts: map[Setting]Count{c.of: {Runs: 13, Of: 29}},
		})
		if len(change.Begun) != 1 || change.Limits[c.of] != 50 {
			t.Errorf("%s: %+v", c.name, change)
		}
	}
}

// A job whose policy has no limit any more has that of all jobs, which waits if it deletes much.
func TestAJobLosesItsLimit(t *testing.T) {
	table, server := Table{inForce(allRuns, 10), inForce(ofA, 0)}, Limits{allRuns: 10}
	wanted := table.Wanted(server, nil)
	if diff := cmp.Diff(Limits{allRuns: 10, ofA: 10}, wanted); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]Setting{ofA}, table.Unseen(wanted)); diff != "" {
		t.Fatal(diff)
	}
	change := table.Decide(Check{Now: noon, Wanted: wanted, Counts: map[Setting]Count{ofA: {Runs: 50, Of: 100}}})
	if change.Limits[ofA] != 0 || len(table.Ended(nil, change)) != 0 {
		t.Errorf("%+v", change)
	}
	change = table.Decide(Check{Now: noon, Wanted: wanted, Counts: map[Setting]Count{ofA: {Runs: 5, Of: 100}}})
	if change.Limits[ofA] != 10 || len(table.Ended(nil, change)) != 1 || len(table.Ended(Limits{ofA: 10}, change)) != 0 {
		t.Errorf("%+v", change)
	}
}

func TestLimitsAsText(t *testing.T) {
	for _, c := range []struct {
		setting    Setting
		limit      int64
		name, text string
	}{
		{allDays, OfDays(1.5), "--keep-days", "1.5 days"},
		{allRuns, 100, "--keep-runs", "100 runs"},
		{ofA, 0, "keep.runs", "no limit"},
		{ofA, 1, "keep.runs", "1 run"},
		{allDays, OfDays(1), "--keep-days", "1 day"},
		{Setting{Job: "a", Rule: Days}, OfDays(400), "keep.days", "400 days"},
	} {
		if c.setting.Name() != c.name || c.setting.Text(c.limit) != c.text {
			t.Errorf("%s: %s", c.setting.Name(), c.setting.Text(c.limit))
		}
	}
}
