package schedule

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// Times are those at which a schedule is due: an Expression, or Every.
type Times interface {
	// Next returns the first time after a given one; the zero time if there is none.
	Next(after time.Time, zone *time.Location) time.Time
}

// Rule is one schedule of a job.
type Rule struct {
	Times Times
	Zone  *time.Location
	// Spread is how much later than its time each start is asked for. It is the same for all times of a
	// schedule, so that people can foresee them.
	Spread time.Duration
	// CatchUp says that the last of the times that passed while nothing could be started is made up for.
	CatchUp bool
	// Window is how late that may be; zero for DefaultWindow.
	Window time.Duration
}

const (
	// DefaultWindow is how late a start may be made up for.
	DefaultWindow = 24 * time.Hour
	// LateAfter is how late a start may be without being late. A server looks at its schedules much more often.
	LateAfter = time.Minute
	// MostEqual is how many equal neighbors are listed one by one.
	MostEqual = 1000
)

// Result is what became of a time at which a schedule was due.
type Result string

// The results.
const (
	Ran     Result = "ran"      // a run was made in time
	RanLate Result = "ran_late" // a run was made to make up for it
	Skipped Result = "skipped"  // other work of the job was in the way
	Missed  Result = "missed"   // too late to start it
	Paused  Result = "paused"   // a person had paused the job
	Refused Result = "refused"  // no run could be made of it
)

// Results are all results.
var Results = []Result{Ran, RanLate, Skipped, Missed, Paused, Refused}

// Slot is a time at which a schedule was due, or several one after the other with which the same was done.
type Slot struct {
	At     time.Time // by the schedule, without the spread
	Last   time.Time // the last of several; At of one
	Count  int
	Result Result // Ran and RanLate are what is to be done; the others are done
	Why    string // in words, empty for Ran
}

// Due returns what becomes of each time of a schedule from next on, up to now, the first one first; and the
// first time that has not come. A time that has passed by LateAfter or less is started. Of those that
// passed longer ago, the last one is made up for if the rule catches up, no later one is started, and it is
// within the window. Equal neighbors beyond the last MostEqual are one slot.
func (r Rule) Due(next, now time.Time, paused bool) (slots []Slot, following time.Time) {
	var equal neighbors
	var newest Slot
	at := next
	for ; !at.IsZero() && !at.Add(r.Spread).After(now); at = r.Times.Next(at, r.Zone) {
		if newest.Count > 0 {
			if newest.Result == RanLate {
				newest.Result, newest.Why = Missed, "nothing could be started then, and a later time is started"
			}
			slots = equal.add(slots, newest)
		}
		newest = r.judge(at, now, paused)
	}
	if newest.Count > 0 {
		slots = equal.end(equal.add(slots, newest))
	}
	return slots, at
}

// neighbors are the slots at the end of a list that are equal but for their times.
type neighbors []Slot

// add adds a slot; those before it that are not equal to it move to the list, which it returns.
func (n *neighbors) add(list []Slot, s Slot) []Slot {
	if len(*n) > 0 && ((*n)[0].Result != s.Result || (*n)[0].Why != s.Why) {
		list = n.end(list)
	}
	*n = append(*n, s)
	if len(*n) > 2*MostEqual {
		*n = n.merged()
	}
	return list
}

// merged returns the slots with what is older than the last MostEqual as one.
func (n *neighbors) merged() neighbors {
	old := len(*n) - MostEqual
	if old <= 1 {
		return *n
	}
	one := (*n)[0]
	for _, s := range (*n)[1:old] {
		one.Last, one.Count = s.Last, one.Count+s.Count
	}
	return append(neighbors{one}, (*n)[old:]...)
}

// end moves all to the list.
func (n *neighbors) end(list []Slot) []Slot {
	list = append(list, n.merged()...)
	*n = (*n)[:0]
	return list
}

// judge says what becomes of one time if no later one has passed.
func (r Rule) judge(at, now time.Time, paused bool) Slot {
	s := Slot{At: at, Last: at, Count: 1}
	late := now.Sub(at.Add(r.Spread))
	window := r.Window
	if window == 0 {
		window = DefaultWindow
	}
	switch {
	case paused:
		s.Result, s.Why = Paused, "the job was paused"
	case late <= LateAfter:
		s.Result = Ran
	case !r.CatchUp:
		s.Result, s.Why = Missed, "nothing could be started then, and the schedule does not catch up"
	case late > window:
		s.Result, s.Why = Missed, "nothing could be started then, and it is older than the window of "+job.DurationText(window)
	default:
		s.Result, s.Why = RanLate, fmt.Sprintf("started %s late", job.DurationText(late.Round(time.Second)))
	}
	return s
}
