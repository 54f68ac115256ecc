package calendar

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/job/api"
)

// Start is a run that started.
type Start struct {
	At     time.Time
	Run    string
	Number int64
	State  string
}

// Expectation is what is known of the due times of an expectation in a period.
type Expectation struct {
	Due    api.Due
	Starts []Start          // that may count for a due time of the period, in order
	Missed []api.MissedTime // in order
	Kept   map[string]int64 // how many due times of a day in UTC had a start
}

// early is how long before an expectation was set the start that set it may be.
const early = time.Minute

// Times returns the due times from one time to another one, as of now, in order.
func (e Expectation) Times(from, to, now time.Time) ([]api.CalendarTime, error) {
	rule, err := due.Parse(e.Due.Expectation)
	if err != nil {
		return nil, err
	}
	if e.Due.EverySeconds > 0 {
		return e.ofInterval(from, to, now), nil
	}
	var all []api.CalendarTime
	for _, m := range e.Missed { // by what was expected before
		if m.DueAt.Before(e.Due.SetAt) && !m.LastAt.Before(from) {
			all = append(all, missed(m))
		}
	}
	first := from
	if e.Due.SetAt.After(from) {
		first = e.Due.SetAt
	}
	for at := rule.First(time.Time{}, first.Add(-1)); !at.IsZero() && at.Before(to); at = rule.Following(at) {
		all = append(all, e.one(rule, at, now))
	}
	return all, nil
}

// ofInterval returns the times of an expectation whose due times depend on starts: each start is one.
func (e Expectation) ofInterval(from, to, now time.Time) (all []api.CalendarTime) {
	for _, s := range e.Starts {
		if !s.At.Before(from) && s.At.Before(to) && !s.At.Before(e.Due.SetAt.Add(-early)) {
			all = append(all, started(s))
		}
	}
	for _, m := range e.Missed {
		if !m.LastAt.Before(from) && m.DueAt.Before(to) {
			all = append(all, missed(m))
		}
	}
	if next := e.Due.NextDueAt; next != nil && !next.Before(from) && next.Before(to) {
		all = append(all, e.open(*next, now))
	}
	slices.SortStableFunc(all, func(a, b api.CalendarTime) int { return a.At.Compare(b.At) })
	return all
}

// one returns the result of a due time of a crontab expression.
func (e Expectation) one(rule due.Rule, at, now time.Time) api.CalendarTime {
	t := expected(at, "ran", "")
	late, found := e.start(&t, rule)
	m := sort.Search(len(e.Missed), func(i int) bool { return e.Missed[i].DueAt.After(at) }) - 1
	switch {
	case m >= 0 && !at.After(e.Missed[m].LastAt):
		t.Result, t.Why = "missed", missedWhy
		if found {
			t.Why += fmt.Sprintf("; started %s after it was due", late)
		}
		return t
	case found && late > rule.Grace:
		t.Result, t.Why = "ran_late", fmt.Sprintf("started %s after it was due, and was known in time", late)
		return t
	case found:
		return t
	case at.After(now) || e.Due.NextDueAt != nil && !at.Before(*e.Due.NextDueAt):
		return e.open(at, now)
	case e.Kept[at.UTC().Format(time.DateOnly)] > 0:
		t.Why = "a run that is not stored any more counted for it, or one that was active then"
		return t
	}
	return expected(at, "paused", "nothing was expected then: it was paused, or no run had started yet")
}

// start adds the start that counts for a due time to it, and returns how late that was; false if there is none.
func (e Expectation) start(t *api.CalendarTime, rule due.Rule) (late time.Duration, found bool) {
	from, until := rule.Slot(t.At)
	i := sort.Search(len(e.Starts), func(i int) bool { return !e.Starts[i].At.Before(from) })
	if i == len(e.Starts) || !e.Starts[i].At.Before(until) {
		return 0, false
	}
	s := e.Starts[i]
	t.Run, t.Number, t.State = s.Run, s.Number, s.State
	return s.At.Sub(t.At).Round(time.Second), true
}

// open returns a due time that is not decided.
func (e Expectation) open(at, now time.Time) api.CalendarTime {
	t := expected(at, api.CalendarPlanned, "")
	t.Paused = e.Due.State == api.DuePaused
	switch {
	case e.Due.State == api.DueNew:
		t.Why = "nothing is due before the first start"
	case !at.After(now):
		t.Result = api.CalendarDue
	}
	return t
}

func expected(at time.Time, result api.CalendarResult, why string) api.CalendarTime {
	return api.CalendarTime{Expected: true, At: at, Last: at, Count: 1, Result: result, Why: why}
}

func started(s Start) api.CalendarTime {
	t := expected(s.At, "ran", "")
	t.Run, t.Number, t.State = s.Run, s.Number, s.State
	return t
}

const missedWhy = "no run had started when the grace was over"

func missed(m api.MissedTime) api.CalendarTime {
	t := expected(m.DueAt, "missed", missedWhy)
	t.Last, t.Count = m.LastAt, m.Times
	return t
}
