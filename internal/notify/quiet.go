package notify

import (
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job/api"
)

// quietLimit is the longest duration of quiet hours. A route that is silent for longer should be disabled.
const quietLimit = 7 * 24 * time.Hour

// hours are parsed quiet hours. The zero value has none.
type hours struct {
	begin schedule.Expression
	last  time.Duration
	zone  *time.Location
}

// parseQuiet parses quiet hours. The error has the invalid field.
func parseQuiet(q *api.QuietHours) (hours, error) {
	if q == nil {
		return hours{}, nil
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.zone: %q is not a time zone such as Europe/Berlin or UTC: %w", q.Zone, err)
	}
	begin, err := schedule.Parse(q.Cron)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.cron: %w", err)
	}
	last, err := time.ParseDuration(q.Duration)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.duration: %q is not a duration such as 9h or 90m", q.Duration)
	}
	if last < time.Minute || last > quietLimit {
		return hours{}, fmt.Errorf("quiet.duration: %s is not between 1m and %s", q.Duration, quietLimit)
	}
	h := hours{begin, last, zone}
	if isEndless(h) {
		return hours{}, errors.New("quiet: these hours never end, so nothing would ever be sent; disable the route instead")
	}
	return h, nil
}

// isEndless reports whether quiet hours overlap with the next ones for weeks.
func isEndless(h hours) bool {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, h.zone)
	end := at.Add(2 * quietLimit)
	for steps := 0; steps < 30000 && at.Before(end); steps++ {
		until := h.until(at)
		if until.IsZero() {
			return false
		}
		at = until
	}
	return !at.Before(end)
}

// until returns when the quiet hours end that include a time; zero if none do.
func (h hours) until(at time.Time) time.Time {
	if h.zone == nil {
		return time.Time{}
	}
	begin := h.begin.Next(at.Add(-h.last), h.zone)
	if begin.IsZero() || begin.After(at) {
		return time.Time{}
	}
	return begin.Add(h.last)
}
