package schedule

import (
	"fmt"
	"time"
)

// Change says in words what a change of the clocks has to do with a time of the rule; empty for nothing.
func (r Rule) Change(at time.Time) string {
	if e, ok := r.Times.(Expression); ok {
		return e.Change(at, r.Zone)
	}
	return ""
}

// Rehearsed is what would become of a time, or of several, of one of some rules.
type Rehearsed struct {
	Rule int // its index
	Slot
	Change string
}

// Rehearsal is a period in which schedules are played through on a clock that is moved.
type Rehearsal struct {
	From, To time.Time
	// From DownFrom to DownTo nothing can be started; both zero for no such time.
	DownFrom, DownTo time.Time
	// Lasts is how long each run takes. Skips says that nothing is started while another one goes on.
	Lasts time.Duration
	Skips bool
	Most  int // slots
}

// Play returns what becomes of each time of rules in the period, in the order in which it is decided. more reports
// whether there are further slots than Most.
func (p Rehearsal) Play(rules []Rule) (all []Rehearsed, more bool) {
	next := make([]time.Time, len(rules))
	for i, r := range rules {
		next[i] = r.Times.Next(p.From.Add(-1), r.Zone)
	}
	var busy Rehearsed // the run that ends last
	var until time.Time
	for {
		at := -1
		var now time.Time
		for i, r := range rules {
			if due := p.notDown(next[i].Add(r.Spread)); !next[i].IsZero() && next[i].Before(p.To) && (at < 0 || due.Before(now)) {
				at, now = i, due
			}
		}
		if at < 0 {
			return all, false
		}
		var slots []Slot
		slots, next[at] = rules[at].Due(next[at], now, false)
		for _, s := range slots {
			one := Rehearsed{at, s, rules[at].Change(s.At)}
			if starts := s.Result == Ran || s.Result == RanLate; starts && p.Skips && now.Before(until) {
				one.Result, one.Why = Skipped, fmt.Sprintf("the run of %s goes on until %s", busy.At.Format("15:04"), until.In(s.At.Location()).Format("15:04"))
			} else if starts {
				busy, until = one, now.Add(p.Lasts)
			}
			if all = append(all, one); len(all) >= p.Most {
				return all, true
			}
		}
	}
}

// notDown returns when something can be started that is due.
func (p Rehearsal) notDown(due time.Time) time.Time {
	if !due.Before(p.DownFrom) && due.Before(p.DownTo) {
		return p.DownTo
	}
	return due
}
