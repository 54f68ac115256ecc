package command

import (
	"errors"
	"time"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/job"
)

// DueRows returns the options that say when runs of a job are expected. beside begins their help.
func DueRows(beside string) []option.Option {
	return []option.Option{
		{FlagOnly: true, Effect: option.Describes, Name: "every", Kind: option.Duration, Value: "D", Help: beside + "expect a run this long after the start of the last one: 1m to 365d (docs/due.md)"},
		{FlagOnly: true, Effect: option.Describes, Name: "cron", Value: "EXPRESSION", Help: beside + "expect a run at these times: minute hour day month weekday"},
		{FlagOnly: true, Effect: option.Describes, Name: "zone", Value: "ZONE", Help: "the time zone of --cron, such as Europe/Berlin (default: UTC)"},
		{FlagOnly: true, Effect: option.Describes, Name: "grace", Kind: option.Duration, Value: "D", Help: "how long after it was expected a run is missed: 1m to 365d (default: 1h)"},
	}
}

// Expectation returns what the options of DueRows say; nil if none is given.
func Expectation(opts *option.Set) (*job.Expectation, error) {
	every, grace := opts.Duration("every"), opts.Duration("grace")
	if !opts.Given("every") && !opts.Given("cron") {
		if opts.Given("zone") || opts.Given("grace") {
			return nil, option.Usagef("--zone and --grace need --every or --cron")
		}
		return nil, nil
	}
	switch {
	case opts.Given("every") && opts.Given("cron"):
		return nil, option.Usagef("--every and --cron exclude each other: choose one")
	case opts.Given("every") && opts.Given("zone"):
		return nil, option.Usagef("--zone is for --cron: an interval is the same in every zone")
	}
	for name, d := range map[string]time.Duration{"every": every, "grace": grace} {
		if opts.Given(name) && (d%time.Second != 0 || d < due.Shortest || d > due.Longest) {
			return nil, option.Usagef("--%s: %s is not from 1m to 365d in whole seconds", name, d)
		}
	}
	e := job.Expectation{EverySeconds: int64(every / time.Second), Cron: opts.Text("cron"), Zone: opts.Text("zone"), GraceSeconds: int64(grace / time.Second)}
	if _, err := due.Parse(e); err != nil {
		name := "cron"
		if invalid := (*job.InvalidError)(nil); errors.As(err, &invalid) && invalid.What == "zone" {
			name = "zone"
		}
		return nil, option.Usagef("--%s: %v", name, err)
	}
	return &e, nil
}
