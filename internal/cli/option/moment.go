package option

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Moments says in help and errors how a moment in the past is written.
const Moments = "2h, 3d or 1w (so long ago), today, yesterday, 04:00, 2006-01-02, 2006-01-02 15:04, or RFC 3339"

// clockLayouts are those of a time of day, dateLayouts those of a date with or without one.
var (
	clockLayouts = []string{"15:04", time.TimeOnly}
	dateLayouts  = []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05"}
)

// ParseMoment reads a moment as people name it at the time now, in whose zone times of day and dates are:
//
//	90s, 2h, 3d, 1w         so long before now; a day has 24 hours
//	now, today, yesterday   today and yesterday began at midnight
//	04:00, 04:00:30         the last time at which clocks showed that
//	2006-01-02              midnight
//	2006-01-02 15:04        also with seconds, and with T for the blank
//	2006-01-02T15:04:05Z    RFC 3339
//
// Of a time that clocks show twice the first is meant, of one that they leave out the moment at which they do.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "now":
		return now, nil
	case "today":
		return midnight(now, 0), nil
	case "yesterday":
		return midnight(now, -1), nil
	}
	if ago, ok := ago(text); ok {
		return now.Add(-ago), nil
	}
	for _, layout := range clockLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return lastClock(at, now), nil
		}
	}
	for _, layout := range dateLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return moments(at, now.Location())[0], nil
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return at.In(now.Location()), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write it like %s", text, Moments)
}

// ago reads a length of time.
func ago(text string) (time.Duration, bool) {
	if weeks, found := strings.CutSuffix(text, "w"); found {
		if n, err := strconv.ParseUint(weeks, 10, 16); err == nil {
			text = strconv.FormatUint(7*n, 10) + "d"
		}
	}
	d, err := ParseDuration(text)
	return d, err == nil && text != "0"
}

// midnight is when the day began that is some days from the one of now.
func midnight(now time.Time, days int) time.Time {
	y, m, d := now.Date()
	return moments(time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC), now.Location())[0]
}

// lastClock is the last moment, not after now, at which clocks showed a time of day.
func lastClock(clock, now time.Time) time.Time {
	y, m, d := now.Date()
	for days := 0; ; days-- {
		day := time.Date(y, m, d+days, clock.Hour(), clock.Minute(), clock.Second(), 0, time.UTC)
		for _, at := range slices.Backward(moments(day, now.Location())) {
			if !at.After(now) {
				return at
			}
		}
	}
}

// moments returns when the clocks of a zone show a date and time, given in UTC: once, twice where they are put back, and
// for what they leave out the moment at which they are put forward.
func moments(wall time.Time, zone *time.Location) (all []time.Time) {
	for _, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if at.Format(time.DateTime) == wall.Format(time.DateTime) && !slices.ContainsFunc(all, at.Equal) {
			all = append(all, at)
		}
	}
	if len(all) == 0 {
		_, offset := wall.Add(24 * time.Hour).In(zone).Zone()
		_, change := wall.Add(-time.Duration(offset) * time.Second).In(zone).ZoneBounds()
		all = append(all, change.In(zone))
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}
