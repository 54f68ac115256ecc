package calendar

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"stint.dev/stint/job/api"
)

// ResultCount is the number of occurrences with one result.
type ResultCount struct {
	At, Last time.Time // the first and the last: within one CountSpan, or those of one row
	Result   string
	State    string // of their runs
	Count    int64
}

// CountSpan is the span of time whose occurrences are counted together. No day begins within one, because the offsets of all
// zones are multiples of it.
const CountSpan = 15 * time.Minute

// New returns the calendar of a period. counts has all occurrences of the period, occurrences lists them, and others are times
// without an occurrence. If there are more than most times, the calendar lists none.
func New(p Period, counts []ResultCount, occurrences []api.OccurrenceRecord, others []api.CalendarTime, most int) api.Calendar {
	b := newBoard(p)
	for _, one := range counts {
		b.addCount(one)
	}
	for _, one := range others {
		if !one.At.Before(b.bounds[0]) && one.At.Before(p.To()) {
			b.add(b.dayOf(one.At), api.CalendarCount{Result: one.Result, State: one.State, Count: one.Count})
		}
	}
	c := api.Calendar{Zone: p.Zone.String(), Days: b.days, Times: []api.CalendarTime{}, More: len(occurrences)+len(others) > most}
	if !c.More {
		c.Times = listed(p.Zone, occurrences, others)
	}
	return c
}

// listed returns times in their order.
func listed(zone *time.Location, occurrences []api.OccurrenceRecord, others []api.CalendarTime) []api.CalendarTime {
	all := []api.CalendarTime{}
	for _, o := range occurrences {
		all = append(all, api.CalendarTime{
			Schedule: o.Schedule, At: o.At.In(zone), Last: o.Last.In(zone), Count: o.Count, Result: api.CalendarResult(o.Result), Why: o.Why, InTheWay: o.InTheWay,
			Run: o.Run, Number: o.Number, State: o.State,
		})
	}
	for _, one := range others {
		one.At, one.Last = one.At.In(zone), one.Last.In(zone)
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b api.CalendarTime) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Schedule, b.Schedule))
	})
	return all
}

// board counts times by days.
type board struct {
	days   []api.CalendarDay
	bounds []time.Time // the first instant of each day, and of the one after the last
}

func newBoard(p Period) board {
	b := board{days: make([]api.CalendarDay, p.Days), bounds: make([]time.Time, p.Days+1)}
	for i := range b.bounds {
		b.bounds[i] = p.day(i)
	}
	for i := range b.days {
		b.days[i] = api.CalendarDay{Day: p.First.AddDate(0, 0, i).Format(time.DateOnly), At: b.bounds[i], Counts: []api.CalendarCount{}}
		b.days[i].Change, b.days[i].ShiftMinutes = changeOf(b.bounds[i], b.bounds[i+1])
	}
	return b
}

// dayOf returns the index of the day of an instant of the period.
func (b board) dayOf(at time.Time) int {
	return sort.Search(len(b.bounds), func(i int) bool { return b.bounds[i].After(at) }) - 1
}

// add adds to the counts of a day.
func (b board) add(day int, more api.CalendarCount) {
	counts := &b.days[day].Counts
	for i, c := range *counts {
		if c.Result == more.Result && c.State == more.State {
			(*counts)[i].Count += more.Count
			return
		}
	}
	*counts = append(*counts, more)
}

// addCount adds occurrences to their days. The times of one row are not stored, so they are assumed to be spread evenly.
func (b board) addCount(c ResultCount) {
	for i := range b.days {
		if n := c.before(b.bounds[i+1]) - c.before(b.bounds[i]); n > 0 {
			b.add(i, api.CalendarCount{Result: api.CalendarResult(c.Result), State: c.State, Count: n})
		}
	}
}

// before returns how many of the occurrences are before a time.
func (c ResultCount) before(at time.Time) int64 {
	switch {
	case !c.At.Before(at):
		return 0
	case c.Last.Before(at):
		return c.Count
	}
	step := c.Last.Sub(c.At) / time.Duration(c.Count-1) // of several: At differs from Last
	return 1 + int64((at.Sub(c.At)-1)/step)
}
