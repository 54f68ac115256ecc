// Package clock has how far the clocks of servers differ, what a clock that was ahead leaves behind, and whether a clock was
// set.
package clock

import "time"

// A server whose clock is ahead stores times of its clock. When the clock is set back, nothing may last until these
// times come.

// Difference is by how much the clocks of servers on one database may differ.
const Difference = time.Minute

// LatestNow returns the latest time that the clock of a server may show now; what was stored at a later one was stored by
// a clock that was ahead.
func LatestNow(now time.Time) time.Time { return now.Add(Difference) }

// HasPassed reports whether more than a duration has passed since a time. It has if that time has not come: a clock that
// was ahead showed it.
func HasPassed(since, now time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return age > d || age < 0
}
