package definition

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/internal/yaml"
	"stint.dev/stint/job"
)

// The values of overlap: what to do with a scheduled start while another run of the job is queued or active.
const (
	OverlapSkip  = "skip"  // nothing is started; the default
	OverlapQueue = "queue" // the run waits for the end of that work
	OverlapAllow = "allow" // the run starts beside it
)

// CatchUpNone is the word for a schedule that makes up for nothing.
const CatchUpNone = "none"

// shortestEvery is the least time between two starts of a schedule.
const shortestEvery = time.Minute

// Rule is when a schedule of the definition is due, without its spread.
func (d Definition) Rule(s Schedule) (schedule.Rule, error) {
	r := schedule.Rule{CatchUp: s.CatchUp != CatchUpNone, Window: time.Duration(s.Window)}
	name := s.Zone
	if name == "" {
		name = d.Zone
	}
	var err error
	if r.Zone, err = time.LoadLocation(name); err != nil {
		return r, fmt.Errorf("zone %s of a schedule of job %s: %w", job.Quote(name), d.Job, err)
	}
	if s.Every > 0 {
		anchor := s.Anchor
		if anchor.IsZero() {
			anchor = time.Unix(0, 0)
		}
		r.Times = schedule.Every{Interval: time.Duration(s.Every), Anchor: anchor}
		return r, nil
	}
	if r.Times, err = schedule.Parse(s.Cron); err != nil {
		return r, fmt.Errorf("cron %s of a schedule of job %s: %w", job.Quote(s.Cron), d.Job, err)
	}
	return r, nil
}

// Text is the time of a schedule as it is written.
func (s Schedule) Text() string {
	switch {
	case s.Every == 0:
		return s.Cron
	case s.Anchor.IsZero():
		return "every " + s.Every.String()
	}
	return "every " + s.Every.String() + " from " + s.Anchor.Format(time.RFC3339)
}

// Pair returns for each schedule of a new version the index of the schedule of the version before that it continues, with its
// history and pause; -1 for none. Equal ones belong together, then those of the same times, then what is left,
// in order.
func Pair(before, after []Schedule) []int {
	pairs := make([]int, len(after))
	taken := make([]bool, len(before))
	for i := range pairs {
		pairs[i] = -1
	}
	for _, same := range []func(a, b Schedule) bool{
		func(a, b Schedule) bool { return a.SameTimes(b) && a.text() == b.text() },
		Schedule.SameTimes,
		func(Schedule, Schedule) bool { return true },
	} {
		for i := range after {
			for k := range before {
				if pairs[i] < 0 && !taken[k] && same(before[k], after[i]) {
					pairs[i], taken[k] = k, true
				}
			}
		}
	}
	return pairs
}

// SameTimes reports whether two schedules are due at the same times.
func (s Schedule) SameTimes(o Schedule) bool {
	return s.Cron == o.Cron && s.Every == o.Every && s.Anchor.Equal(o.Anchor) && s.Zone == o.Zone
}

// text is what a schedule says besides its times.
func (s Schedule) text() string {
	return fmt.Sprint(s.CatchUp, s.Window, s.Spread, s.Parameters) // a map in the order of its keys
}

func (d *decoder) schedules(v yaml.Value) error {
	return v.Items("schedules", func(i int, v yaml.Value) error {
		if i >= mostSchedules {
			return v.Wrong("there are more than %d schedules", mostSchedules)
		}
		one := scheduleDecoder{places: map[string]yaml.Value{}, values: map[string]yaml.Value{}}
		if err := one.read(v); err != nil {
			return err
		}
		if m := one.check(v); m != nil {
			return m
		}
		d.Schedules = append(d.Schedules, one.Schedule)
		d.late = append(d.late, func() *Mistake { return d.checkSchedule(v, one.Schedule, one.values) })
		return nil
	})
}

// scheduleDecoder is a schedule that is being read.
type scheduleDecoder struct {
	Schedule
	places map[string]yaml.Value // by key
	values map[string]yaml.Value // of the parameters, by name
}

func (s *scheduleDecoder) read(v yaml.Value) error {
	note := func(key string, read func(yaml.Value) error) field {
		return field{key, func(v yaml.Value) error {
			s.places[key] = v
			return read(v)
		}}
	}
	return readFields(v, "a schedule", []field{
		note("cron", text(&s.Cron, checkCron)),
		note("every", s.readEvery),
		note("anchor", s.readAnchor),
		{"zone", text(&s.Zone, checkZone)},
		{"catch_up", oneOf(&s.CatchUp, CatchUpNone, "latest")},
		note("window", span(&s.Window)),
		{"spread", spanOrZero(&s.Spread)},
		{"parameters", s.readValues},
	})
}

func (s *scheduleDecoder) readEvery(v yaml.Value) error {
	err := span(&s.Every)(v)
	if err == nil && time.Duration(s.Every) < shortestEvery {
		err = v.Wrong("%s is less than %s, the least time between two starts", s.Every, Duration(shortestEvery))
	}
	return err
}

func (s *scheduleDecoder) readAnchor(v yaml.Value) error {
	written := ""
	if err := text(&written, nil)(v); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, written)
	if err != nil || at.Year() < 1970 || at.Year() > 2200 {
		return v.Wrong("%s is not a time from 1970 on, such as 2026-01-01T00:00:00Z", job.Quote(written))
	}
	s.Anchor = at.UTC()
	return nil
}

func (s *scheduleDecoder) readValues(v yaml.Value) error {
	s.Parameters = map[string]string{}
	return v.Each("parameters", nil, func(key yaml.Key, v yaml.Value) error {
		value := ""
		if err := textOrEmpty(&value, atMost(MaxValueBytes))(v); err != nil {
			return err
		}
		s.Parameters[key.Name], s.values[key.Name] = value, v
		return nil
	})
}

// check is the first mistake of the keys of a schedule together.
func (s *scheduleDecoder) check(of yaml.Value) *Mistake {
	_, cron := s.places["cron"]
	every, timed := s.places["every"]
	anchor, anchored := s.places["anchor"]
	window, bounded := s.places["window"]
	switch {
	case cron && timed:
		return every.Wrong("there are cron and every: write one of them")
	case !cron && !timed:
		return of.Wrong(`a schedule needs cron: "30 2 * * *" or every: 90m`)
	case anchored && !timed:
		return anchor.Wrong("an anchor is for every")
	case bounded && s.CatchUp == CatchUpNone:
		return window.Wrong("a window says how late a start may be made up for, and catch_up is none")
	}
	return nil
}

// checkSchedule is the first mistake of the values that a schedule gives the parameters.
func (d *decoder) checkSchedule(v yaml.Value, s Schedule, places map[string]yaml.Value) *Mistake {
	for _, wrong := range d.unknown(s.Parameters) {
		for name, place := range places {
			if job.Quote(name) == wrong.Parameter {
				return place.Wrong("%s", wrong)
			}
		}
	}
	for _, p := range d.Parameters {
		value, given := s.Parameters[p.Name]
		switch why := p.Check(value); {
		case given && why != "":
			return places[p.Name].Wrong("%s: %s", p.Name, why)
		case !given && p.Default == nil:
			return v.Wrong("the schedule must give the parameter %s, which has no default", p.Name)
		}
	}
	return nil
}

// checkCron refuses what is no crontab expression.
func checkCron(text string) error {
	_, err := schedule.Parse(text)
	return err
}
