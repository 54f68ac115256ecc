package notify

import (
	"errors"
	"fmt"
	"time"

	cron "github.com/netresearch/go-cron"

	"stint.dev/stint/job"
)

// longestQuiet bounds quiet hours: whoever is silent for longer means to switch a route
// off.
const longestQuiet = 7 * 24 * time.Hour

// hours are parsed quiet hours; the zero value is never quiet.
type hours struct {
	begin cron.Schedule
	last  time.Duration
	zone  *time.Location
}

// parseQuiet reads quiet hours. The error says which field makes no sense.
func parseQuiet(q *job.QuietHours) (hours, error) {
	if q == nil {
		return hours{}, nil
	}
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.zone: %q is not a time zone such as Europe/Berlin or UTC: %w", q.Zone, err)
	}
	begin, err := cron.ParseStandard(q.Cron)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.cron: %q is not MINUTE HOUR DAY MONTH WEEKDAY: %w", q.Cron, err)
	}
	last, err := time.ParseDuration(q.Duration)
	if err != nil {
		return hours{}, fmt.Errorf("quiet.duration: %q is not a duration such as 9h or 90m", q.Duration)
	}
	if last < time.Minute || last > longestQuiet {
		return hours{}, fmt.Errorf("quiet.duration: %s is not between 1m and %s", q.Duration, longestQuiet)
	}
	h := hours{begin, last, zone}
	if begin.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, zone)).IsZero() {
		return hours{}, fmt.Errorf("quiet.cron: %q never comes", q.Cron)
	}
	if always(h) {
		return hours{}, errors.New("quiet: these hours never end: nothing would ever be sent; disable the route instead")
	}
	return h, nil
}

// always reports whether one stretch of quiet hours runs into the next for weeks.
func always(h hours) bool {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, h.zone)
	end := at.Add(2 * longestQuiet)
	for steps := 0; steps < 30000 && at.Before(end); steps++ {
		until := h.until(at)
		if until.IsZero() {
			return false
		}
		at = until
	}
	return !at.Before(end)
}

// until is when the quiet hours end that hold at a time; zero when none do.
func (h hours) until(at time.Time) time.Time {
	if h.begin == nil {
		return time.Time{}
	}
	begin := h.begin.Next(at.In(h.zone).Add(-h.last))
	if begin.IsZero() || begin.After(at) {
		return time.Time{}
	}
	return begin.Add(h.last)
}
