package keep

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

const (
	// Delay is how long a limit waits that would delete many runs at once, while a server runs.
	Delay = 24 * time.Hour
	// share is the part of all ended runs that a limit may delete at once without waiting: one in so many.
	share = 10
	// longestStep is the most time that counts between two checks of a limit that waits: neither the time in which no server
	// ran, nor a clock that was set ahead, ends the delay.
	longestStep = 10 * time.Minute
	// staleAfter is the time after which a limit is forgotten that no server has used.
	staleAfter = time.Hour
)

// Setting is one limit that can be set: for one job, or, with an empty Job, for all jobs that have none of their own.
type Setting struct {
	Job  string
	Rule Rule // Days or Runs
}

// Name is what people set it by: --keep-days, or keep.days of a policy.
func (s Setting) Name() string {
	if s.Job == "" {
		return s.Rule.Option()
	}
	return "keep." + string(s.Rule)
}

// Limits are limits by setting: microseconds for Days, runs for Runs. 0 is no limit.
type Limits map[Setting]int64

// Text writes a limit as people do: 30 days, 100 runs.
func (s Setting) Text(limit int64) string {
	switch {
	case limit == 0:
		return "no limit"
	case s.Rule == Runs && limit == 1:
		return "1 run"
	case s.Rule == Days && InDays(limit) == 1:
		return "1 day"
	case s.Rule == Days:
		return strconv.FormatFloat(InDays(limit), 'g', 6, 64) + " days"
	}
	return strconv.FormatInt(limit, 10) + " runs"
}

// InDays returns a limit of the rule Days in days.
func InDays(limit int64) float64 { return float64(limit) / float64(24*time.Hour/time.Microsecond) }

// OfDays returns the limit of the rule Days for a number of days.
func OfDays(days float64) int64 { return int64(days * float64(24*time.Hour/time.Microsecond)) }

// Row is a limit that a server uses, or waits for.
type Row struct {
	Setting
	Limit   int64
	InForce bool
	SeenAt  time.Time     // first
	UsedAt  time.Time     // last
	Waited  time.Duration // of Delay
	// Count is what the limit would have deleted at once when it was seen first.
	Count
}

// Count is how many runs a limit would delete, of all that have ended.
type Count struct{ Runs, Of int64 }

// Left is for how long a limit waits yet.
func (r Row) Left() time.Duration { return max(0, Delay-r.Waited) }

// Stricter reports whether a limit deletes runs that another one keeps.
func Stricter(a, b int64) bool { return a > 0 && (b == 0 || a < b) }

// Table is what the database has of limits.
type Table []Row

func (t Table) find(s Setting, limit int64) int {
	return slices.IndexFunc(t, func(r Row) bool { return r.Setting == s && r.Limit == limit })
}

// Has reports whether a setting has any row.
func (t Table) Has(s Setting) bool {
	return slices.ContainsFunc(t, func(r Row) bool { return r.Setting == s })
}

// InForce returns the strictest limit of a setting that is in force. A job without one has that of all jobs.
func (t Table) InForce(s Setting) int64 {
	var strictest int64
	found := false
	for _, r := range t {
		if r.Setting == s && r.InForce && (!found || Stricter(r.Limit, strictest)) {
			strictest, found = r.Limit, true
		}
	}
	if !found && s.Job != "" {
		return t.InForce(Setting{Rule: s.Rule})
	}
	return strictest
}

// Effective returns the limit that a server uses that wants another one, which may have to wait.
func (t Table) Effective(s Setting, want int64) int64 {
	if i := t.find(s, want); i >= 0 && t[i].InForce {
		return want
	}
	if base := t.InForce(s); Stricter(want, base) {
		return base
	}
	return want
}

// Unseen returns those of the limits that are new and stricter than what is in force: it matters how many runs they would delete.
func (t Table) Unseen(wanted Limits) []Setting {
	var out []Setting
	for s, want := range wanted {
		if t.find(s, want) < 0 && Stricter(want, t.InForce(s)) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, compare)
	return out
}

// compare orders settings by rule, days before runs, and by job.
func compare(a, b Setting) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Job, b.Job)) }

// Check is what a server compares with a table: the limits that it wants.
type Check struct {
	Now    time.Time
	Wanted Limits
	Counts map[Setting]Count // of the limits that are Unseen
	AtOnce bool              // --keep-now
	// Alone says that no other server uses the database: what this one does not use any more is forgotten at once. So are
	// limits of policies, which are the same for all servers.
	Alone bool
	// Forgets says that the server has run for long enough to forget what no other one uses.
	Forgets bool
}

// Change is what follows from a check.
type Change struct {
	Limits  Limits // that the server uses
	Store   []Row  // new or changed
	Forget  []Row
	Begun   []Row // wait from now on
	Applied []Row // have waited, and do not any more
}

// Decide returns what follows from a check of the limits of a table.
//
// A limit that is new is in force at once if it is no stricter than what is in force, if it would delete no more than a tenth of all
// ended runs together with the other new ones, or with AtOnce. Otherwise it waits, and what is in force stays so.
func (t Table) Decide(l Check) Change {
	c := Change{Limits: Limits{}}
	admitted := l.admitted(t.Unseen(l.Wanted))
	used := map[Row]bool{}
	for _, s := range l.Wanted.Sorted() {
		want := l.Wanted[s]
		row, isNew := Row{Setting: s, Limit: want, SeenAt: l.Now, Count: l.Counts[s]}, true
		if i := t.find(s, want); i >= 0 {
			row, isNew = t[i], false
			used[t[i]] = true
		}
		before := row
		stricter := Stricter(want, t.InForce(s))
		switch {
		case row.InForce:
		case !stricter, l.AtOnce, isNew && admitted[s]:
			row.InForce = true
		case isNew:
			c.Begun = append(c.Begun, row)
		default:
			row.Waited += min(max(l.Now.Sub(row.UsedAt), 0), longestStep)
			row.InForce = row.Waited >= Delay
		}
		if row.InForce && !isNew && !before.InForce {
			c.Applied = append(c.Applied, row)
		}
		if isNew || row != before || l.isDue(row) {
			row.UsedAt = l.Now
			c.Store = append(c.Store, row)
		}
		c.Limits[s] = want
		if !row.InForce {
			c.Limits[s] = t.InForce(s)
			if i := t.find(s, c.Limits[s]); i >= 0 { // it is used while the other waits
				used[t[i]] = true
				if kept := t[i]; l.isDue(kept) {
					kept.UsedAt = l.Now
					c.Store = append(c.Store, kept)
				}
			}
		}
	}
	for _, r := range t {
		if !used[r] && (l.Alone || r.Job != "" || l.Forgets && l.Now.Sub(r.UsedAt) > staleAfter) {
			c.Forget = append(c.Forget, r)
		}
	}
	return c
}

// isDue reports whether it is time to store that a limit is used.
func (l Check) isDue(r Row) bool {
	return !r.InForce || l.Now.Sub(r.UsedAt).Abs() >= longestStep
}

// admitted returns those of some settings that together delete no more than a tenth of all ended runs, the smallest first.
func (l Check) admitted(unseen []Setting) map[Setting]bool {
	out := map[Setting]bool{}
	slices.SortStableFunc(unseen, func(a, b Setting) int { return cmp.Compare(l.Counts[a].Runs, l.Counts[b].Runs) })
	var sum int64
	for _, s := range unseen {
		sum += l.Counts[s].Runs
		if sum*share > l.Counts[s].Of {
			break
		}
		out[s] = true
	}
	return out
}

// Sorted returns the settings in the order in which they are applied.
func (l Limits) Sorted() []Setting {
	var out []Setting
	for s := range l {
		out = append(out, s)
	}
	slices.SortFunc(out, compare)
	return out
}

// Wanted returns the limits that a server wants: its own, and those of jobs. A job whose policy has none any more, and that has rows,
// wants that of all jobs.
func (t Table) Wanted(server Limits, jobs Limits) Limits {
	out := Limits{}
	for s, limit := range server {
		out[s] = limit
	}
	for s, limit := range jobs {
		out[s] = limit
	}
	for _, r := range t {
		if _, found := out[r.Setting]; !found {
			all := Setting{Rule: r.Rule}
			out[r.Setting] = t.Effective(all, server[all])
		}
	}
	return out
}

// Ended returns the rows of jobs that have no limit of their own any more, once that of all jobs is in force for them.
func (t Table) Ended(jobs Limits, c Change) []Row {
	var out []Row
	for _, r := range t {
		if _, own := jobs[r.Setting]; r.Job != "" && !own && c.Limits[r.Setting] == c.Limits[Setting{Rule: r.Rule}] {
			out = append(out, r)
		}
	}
	return out
}
