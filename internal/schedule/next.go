package schedule

import (
	"math/bits"
	"time"
)

// Next returns the first time after a given one at which the expression is due in a zone, and the zero time
// if there is none within nine years: the 29th of February can be eight years away.
//
// An expression whose hours are all hours follows real time: it is due in both copies of an hour that
// comes twice, and nothing replaces what falls into an hour that does not exist. Any other expression is
// due once for each local time that matches: at the first of two copies, and at the first instant after
// a gap, once for all that the gap contains. So a job of each day runs each day, and one of each hour runs
// each hour, when the clocks change.
func (e Expression) Next(after time.Time, zone *time.Location) time.Time {
	local := after.In(zone)
	_, offset := local.Zone()
	from := wallOf(local, offset)
	last := from.AddDate(9, 0, 0)
	if e.hours == everyHour {
		return e.nextReal(local, from, last)
	}
	// The local time of after is over, and so is each local time before it: only what comes later on the
	// clock can be due. In the second copy of an hour, that has been due already.
	for wall := e.nextWall(from, last); !wall.IsZero(); wall = e.nextWall(wall, last) {
		if due := FirstInstant(wall, zone); due.After(after) {
			return due
		}
	}
	return time.Time{}
}

// nextReal is Next for an expression of all hours. It looks at one period between two changes of the
// clocks after the other.
func (e Expression) nextReal(local, from, last time.Time) time.Time {
	for from.Before(last) {
		_, offset := local.Zone()
		end := endOfPeriod(local)
		wall := e.nextWall(from, last)
		if wall.IsZero() {
			return time.Time{}
		}
		due := time.Unix(wall.Unix()-int64(offset), 0).In(local.Location())
		if end.IsZero() || due.Before(end) {
			return due
		}
		local = end
		_, offset = end.Zone()
		from = wallOf(end, offset).Add(-1) // the first instant of the period can be due itself
	}
	return time.Time{}
}

// wallOf returns what a clock shows as a time in UTC.
func wallOf(t time.Time, offset int) time.Time {
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// FirstInstant returns when a clock first shows a local time, which is given as a time in UTC. If it
// never does, it is the first instant at which it shows a later one.
func FirstInstant(wall time.Time, zone *time.Location) time.Time {
	// Offsets differ by less than 26 hours, and so do the instants at which a local time can be.
	at := time.Unix(wall.Unix(), 0).Add(-26 * time.Hour).In(zone)
	for first := true; ; first = false {
		_, offset := at.Zone()
		due := time.Unix(wall.Unix()-int64(offset), 0).In(zone)
		end := endOfPeriod(at)
		switch {
		case !first && due.Before(at):
			return at // the clock jumped over it
		case end.IsZero() || due.Before(end):
			return due
		}
		at = end
	}
}

// endOfPeriod returns when the offset that is in effect at t may change next, in the zone of t, and the
// zero time if it never does. On the last day of a leap year after 2037 ZoneBounds returns an end that is
// over; no clock changes before the year does.
func endOfPeriod(t time.Time) time.Time {
	_, end := t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		return time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).In(t.Location())
	}
	return end
}

// nextWall returns the first minute after from, and up to last, that matches. All are local times in UTC.
func (e Expression) nextWall(from, last time.Time) time.Time {
	t := from.Truncate(time.Minute).Add(time.Minute)
	for !t.After(last) {
		year, month, day := t.Date()
		switch hour := e.hours >> t.Hour() << t.Hour(); {
		case e.months&(1<<month) == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !e.matchesDay(t) || hour == 0:
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case hour&(1<<t.Hour()) == 0:
			t = time.Date(year, month, day, bits.TrailingZeros64(hour), 0, 0, 0, time.UTC)
		default:
			minute := e.minutes >> t.Minute() << t.Minute()
			if minute != 0 {
				return time.Date(year, month, day, t.Hour(), bits.TrailingZeros64(minute), 0, 0, time.UTC)
			}
			t = time.Date(year, month, day, t.Hour()+1, 0, 0, 0, time.UTC)
		}
	}
	return time.Time{}
}

// matchesDay reports whether the day of the month and the day of the week match.
func (e Expression) matchesDay(t time.Time) bool {
	day, weekday := e.days&(1<<t.Day()) != 0, e.weekdays&(1<<t.Weekday()) != 0
	if e.either {
		return day || weekday
	}
	return day && weekday
}
