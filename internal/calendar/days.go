// Package calendar groups the past and future due times of a job, with their results, by the days of a zone.
package calendar

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/schedule"
)

// MostDays is the most days of one calendar.
const MostDays = 62

// Period is some days of a zone.
type Period struct {
	Zone  *time.Location
	First time.Time // midnight of the first day, as if the zone were UTC
	Days  int       // from 1 to MostDays
}

// day returns the first instant of a day of the period, counted from 0. A day that clocks skip begins with the next.
func (p Period) day(n int) time.Time {
	return schedule.FirstInstant(p.First.AddDate(0, 0, n), p.Zone).In(p.Zone)
}

// From returns the first instant of the period.
func (p Period) From() time.Time { return p.day(0) }

// To returns the first instant after the period.
func (p Period) To() time.Time { return p.day(p.Days) }

// changeOf says in words how clocks change between two instants, and by how many minutes; "" and 0 if they do not.
func changeOf(from, to time.Time) (text string, minutes int) {
	last := from.Add(-1) // clocks may change at midnight
	_, end := last.ZoneBounds()
	if end.IsZero() || end.Before(from) || !end.Before(to) {
		return "", 0
	}
	_, before := last.Zone()
	_, after := end.In(from.Location()).Zone()
	shown := end.UTC().Add(time.Duration(before) * time.Second).Format("15:04")
	next := end.UTC().Add(time.Duration(after) * time.Second).Format("15:04")
	switch minutes = (after - before) / 60; {
	case minutes > 0:
		text = fmt.Sprintf("clocks go forward from %s to %s", shown, next)
	case minutes < 0:
		text = fmt.Sprintf("clocks go back from %s to %s", shown, next)
	}
	return text, minutes
}
