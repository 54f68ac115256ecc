package schedule

import (
	"fmt"
	"time"
)

// Change says in words what a change of the clocks has to do with a time at which the expression is due;
// empty for nothing.
func (e Expression) Change(due time.Time, zone *time.Location) string {
	due = due.In(zone)
	_, offset := due.Zone()
	wall := wallOf(due, offset)
	if !e.matches(wall) {
		if skipped := e.nextWall(wall.Add(-26*time.Hour), wall); !skipped.IsZero() {
			for next := skipped; !next.IsZero() && next.Before(wall); next = e.nextWall(next, wall) {
				if skipped = next; FirstInstant(next, zone).Equal(due) {
					break
				}
			}
			return fmt.Sprintf("the clock skips %s", skipped.Format("15:04"))
		}
	}
	switch first := FirstInstant(wall, zone); {
	case first.Before(due):
		return fmt.Sprintf("the second %s", wall.Format("15:04"))
	case comesAgain(wall, due):
		return fmt.Sprintf("the first of two %s", wall.Format("15:04"))
	}
	return ""
}

// comesAgain reports whether a clock shows a local time once more after a time at which it shows it.
func comesAgain(wall, due time.Time) bool {
	end := endOfPeriod(due)
	if end.IsZero() || end.Sub(due) > 26*time.Hour {
		return false
	}
	_, offset := end.Zone()
	again := time.Unix(wall.Unix()-int64(offset), 0)
	return !again.Before(end)
}

// matches reports whether a local time in UTC matches.
func (e Expression) matches(wall time.Time) bool {
	return e.nextWall(wall.Add(-time.Minute), wall).Equal(wall)
}
