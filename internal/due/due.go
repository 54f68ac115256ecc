// Package due decides whether a job that somebody else starts has started when it was expected to. It is
// pure: an expectation, a due time and what is known of starts in, a verdict out.
//
// A due time has a slot: the times at which a start counts for it. The slots of a job touch, so a run that
// starts late, or whose journal arrives late, counts for exactly one due time of a crontab expression.
package due

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Limits of intervals and graces.
const (
	Shortest     = time.Minute
	Longest      = 365 * 24 * time.Hour
	DefaultGrace = time.Hour
	// longestText is the limit of a cron expression and of the name of a zone, in bytes.
	longestText = 200
	// mostEarly is how much earlier than its time a run of a crontab may start, because the clock of its
	// host is ahead. It is no more than a quarter of the time to the next one.
	mostEarly = time.Minute
	// never is the end of the slot of the last due time of an expression.
	never = 100 * Longest
)

// Rule is a valid expectation.
type Rule struct {
	Grace time.Duration
	given job.Expectation
	every time.Duration // 0 for a crontab expression
	times schedule.Expression
	zone  *time.Location
}

// Parse returns the rule of an expectation. Its error, *job.InvalidError, names the field.
func Parse(e job.Expectation) (Rule, error) {
	wrong := func(what, value, why string) (Rule, error) {
		return Rule{}, &job.InvalidError{What: what, Value: value, Why: why}
	}
	r := Rule{Grace: DefaultGrace, given: e, zone: time.UTC}
	if e.GraceSeconds != 0 {
		if !within(e.GraceSeconds) {
			return wrong("grace_seconds", fmt.Sprint(e.GraceSeconds), "must be from 60 (a minute) to 31536000 (365 days)")
		}
		r.Grace = time.Duration(e.GraceSeconds) * time.Second
	}
	switch {
	case e.EverySeconds != 0 && e.Cron != "":
		return wrong("every_seconds", fmt.Sprint(e.EverySeconds), "must not be given with cron: choose one")
	case e.EverySeconds == 0 && e.Cron == "":
		return wrong("every_seconds", "0", "is missing, and so is cron: give one of them")
	case e.Cron == "" && e.Zone != "":
		return wrong("zone", e.Zone, "is for cron only: an interval is the same in every zone")
	case e.Cron == "":
		if !within(e.EverySeconds) {
			return wrong("every_seconds", fmt.Sprint(e.EverySeconds), "must be from 60 (a minute) to 31536000 (365 days)")
		}
		r.every = time.Duration(e.EverySeconds) * time.Second
		return r, nil
	case len(e.Cron) > longestText:
		return wrong("cron", e.Cron[:longestText], fmt.Sprintf("begins a text of %d bytes; the limit is %d", len(e.Cron), longestText))
	}
	var err error
	if r.zone, err = Zone(e.Zone); err != nil {
		return Rule{}, err
	}
	r.times, err = schedule.Parse(e.Cron)
	return r, err
}

// within reports whether a number of seconds is a valid interval or grace.
func within(seconds int64) bool {
	return seconds >= int64(Shortest/time.Second) && seconds <= int64(Longest/time.Second)
}

// Zone returns the time zone of a name; UTC for an empty one. The error is *job.InvalidError.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || len(name) > longestText || strings.EqualFold(name, "Local") {
		return nil, &job.InvalidError{What: "zone", Value: name, Why: "is not a time zone such as Europe/Berlin or UTC"}
	}
	return zone, nil
}

// Following returns the due time after one that was missed; zero if there is none.
func (r Rule) Following(due time.Time) time.Time {
	if r.every > 0 {
		return due.Add(r.every)
	}
	return r.times.Next(due, r.zone).UTC()
}

// After returns the first due time for which a start does not count.
func (r Rule) After(start time.Time) time.Time {
	if r.every > 0 {
		return start.Add(r.every)
	}
	due := r.times.Next(start, r.zone).UTC()
	if from, _ := r.Slot(due); !due.IsZero() && !start.Before(from) {
		return r.Following(due)
	}
	return due
}

// First returns the first due time of an expectation that is set now. last is the last start; zero for none.
func (r Rule) First(last, now time.Time) time.Time {
	switch {
	case r.every == 0:
		return r.times.Next(now, r.zone).UTC()
	case last.IsZero() || last.After(now):
		return now.Add(r.every)
	}
	return schedule.Every{Interval: r.every, Anchor: last.Add(r.every)}.Next(now, time.UTC)
}

// Upcoming returns the first n due times of an expectation that is set now, and when each is missed. last is the last
// start; zero for none. Those of an interval assume that each run starts when it is due.
func (r Rule) Upcoming(last, now time.Time, n int) []api.DueTime {
	all := []api.DueTime{}
	for at := r.First(last, now); !at.IsZero() && len(all) < n; at = r.Following(at) {
		one := api.DueTime{At: at.In(r.zone), MissedAt: at.Add(r.Grace).In(r.zone)}
		if r.every == 0 {
			one.Change = r.times.Change(at, r.zone)
		}
		all = append(all, one)
	}
	return all
}

// Expectation returns what the rule was read from, with what was absent.
func (r Rule) Expectation() job.Expectation {
	e := r.given
	e.GraceSeconds = int64(r.Grace / time.Second)
	if e.Cron != "" && e.Zone == "" {
		e.Zone = "UTC"
	}
	return e
}

// Slot returns the times at which a start counts for a due time: from the first one on, and before the second.
func (r Rule) Slot(due time.Time) (from, until time.Time) {
	if r.every > 0 {
		return due.Add(-r.every).Add(time.Microsecond), due.Add(r.every)
	}
	next := r.Following(due)
	if next.IsZero() {
		return due.Add(-mostEarly), due.Add(never)
	}
	return r.from(due, next), r.from(next, r.Following(next))
}

// from returns when the slot of a due time begins.
func (r Rule) from(due, next time.Time) time.Time {
	early := mostEarly
	if !next.IsZero() {
		early = min(early, next.Sub(due)/4)
	}
	return due.Add(-early)
}

// Reachable returns a due time that the clock may have: the given one, or an earlier one if that is further
// away than the expectation allows, because it was computed before the clock was set back.
func (r Rule) Reachable(due, now time.Time) time.Time {
	if r.every > 0 {
		if far := now.Add(r.every); due.After(far) {
			return far
		}
		return due
	}
	next := r.times.Next(now, r.zone).UTC()
	if following := r.Following(next); !following.IsZero() && due.After(following) {
		return next
	}
	return due
}
