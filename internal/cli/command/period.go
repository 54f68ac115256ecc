package command

import (
	"time"

	"stint.dev/stint/internal/cli/option"
)

// PeriodRows returns the options --since and --until of a command; what is what happened in that period, such as "runs
// that started".
func PeriodRows(what string) []option.Option {
	return []option.Option{
		{FlagOnly: true, Name: "since", Value: "TIME", Help: "only " + what + " then or later: " + option.Moments},
		{FlagOnly: true, Name: "until", Value: "TIME", Help: "only " + what + " before that"},
	}
}

// Period reads the options of PeriodRows; a time that was not given is zero. now is in the zone of the person.
func Period(opts *option.Set, now time.Time) (since, until time.Time, err error) {
	read := func(name string) (at time.Time) {
		if text := opts.Text(name); text != "" && err == nil {
			if at, err = option.ParseMoment(text, now); err != nil {
				err = option.Usagef("--%s: %v", name, err)
			}
		}
		return at
	}
	since, until = read("since"), read("until")
	if err != nil {
		return since, until, err
	}
	switch {
	case since.After(now):
		return since, until, option.Usagef("--since: %s has not come yet", since.Format("2006-01-02 15:04:05 -07:00"))
	case !since.IsZero() && !until.IsZero() && !since.Before(until):
		return since, until, option.Usagef("--since is not before --until: the period is empty")
	}
	return since, until, nil
}
