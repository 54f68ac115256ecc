// Package quiet has the hours in which a route holds its messages. It is pure.
package quiet

import (
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job/api"
)

// limit is the longest duration of quiet hours. A route that is silent for longer should be disabled.
const limit = 7 * 24 * time.Hour

// Hours are parsed quiet hours. The zero value has none.
type Hours struct {
	begin schedule.Expression
	last  time.Duration
	zone  *time.Location
}

// Parse parses quiet hours. The error has the invalid field.
func Parse(q *api.QuietHours) (Hours, error) {
	if q == nil {
		return Hours{}, nil
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return Hours{}, fmt.Errorf("quiet.zone: %q is not a time zone such as Europe/Berlin or UTC: %w", q.Zone, err)
	}
	begin, err := schedule.Parse(q.Cron)
	if err != nil {
		return Hours{}, fmt.Errorf("quiet.cron: %w", err)
	}
	last, err := time.ParseDuration(q.Duration)
	if err != nil {
		return Hours{}, fmt.Errorf("quiet.duration: %q is not a duration such as 9h or 90m", q.Duration)
	}
	if last < time.Minute || last > limit {
		return Hours{}, fmt.Errorf("quiet.duration: %s is not between 1m and %s", q.Duration, limit)
	}
	h := Hours{begin, last, zone}
	if isEndless(h) {
		return Hours{}, errors.New("quiet: these hours never end, so nothing would ever be sent; disable the route instead")
	}
	return h, nil
}

// isEndless reports whether quiet hours overlap with the next ones for weeks.
func isEndless(h Hours) bool {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, h.zone)
	end := at.Add(2 * limit)
	for steps := 0; steps < 30000 && at.Before(end); steps++ {
		until := h.Until(at)
		if until.IsZero() {
			return false
		}
		at = until
	}
	return !at.Before(end)
}

// Until returns when the quiet hours end that include a time; zero if none do.
func (h Hours) Until(at time.Time) time.Time {
	if h.zone == nil {
		return time.Time{}
	}
	begin := h.begin.Next(at.Add(-h.last), h.zone)
	if begin.IsZero() || begin.After(at) {
		return time.Time{}
	}
	return begin.Add(h.last)
}
