package schedule

import "time"

// Every is due each Interval, counted in real time from Anchor, whatever the clocks of a zone show.
type Every struct {
	Interval time.Duration // more than zero
	Anchor   time.Time
}

// Next returns the first time after a given one. It is never before Anchor.
func (e Every) Next(after time.Time, zone *time.Location) time.Time {
	if after.Before(e.Anchor) {
		return e.Anchor.In(zone)
	}
	return e.Anchor.Add((after.Sub(e.Anchor)/e.Interval + 1) * e.Interval).In(zone)
}
