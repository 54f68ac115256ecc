package policy

import (
	"slices"

	"stint.dev/stint/internal/yaml"
)

// setter reads a value into its place.
type setter func(yaml.Value) error

func into[T any](to *T, read func(yaml.Value) (T, error)) setter {
	return func(v yaml.Value) (err error) {
		value, err := read(v)
		if err == nil {
			*to = value
		}
		return err
	}
}

func between(low, high float64) func(yaml.Value) (float64, error) {
	return func(v yaml.Value) (float64, error) { return number(v, low, high) }
}

// positive is a span that must not be zero.
func positive(v yaml.Value) (Span, error) {
	s, err := span(v)
	if err == nil && s == 0 {
		return 0, v.Wrong("0 would make the rule hold at once; to switch it off write on: false")
	}
	return s, err
}

// maxSkipped is the most occurrences in a row that a policy may want to be skipped before that is a finding.
const maxSkipped = 1000

// keys are the keys that a rule may have.
func (p *Policy) keys(rule string) map[string]setter {
	switch rule {
	case Stalled:
		return map[string]setter{"on": into(&p.Stalled.On, boolean), "after": into(&p.Stalled.After, positive), "critical": into(&p.Stalled.Critical, positive)}
	case NoOutput:
		return map[string]setter{"on": into(&p.NoOutput.On, boolean), "after": into(&p.NoOutput.After, positive)}
	case Overdue:
		return map[string]setter{
			"on": into(&p.Overdue.On, boolean), "limit": into(&p.Overdue.Limit, span),
			"factor": into(&p.Overdue.Factor, between(0, 1000)), "at_least": into(&p.Overdue.AtLeast, span),
		}
	case Memory:
		return map[string]setter{
			"on": into(&p.Memory.On, boolean), "percent": into(&p.Memory.Percent, between(1, 100)), "critical": into(&p.Memory.Critical, between(1, 100)),
			"within": into(&p.Memory.Within, span), "factor": into(&p.Memory.Factor, between(0, 1000)),
		}
	case ClockSkew:
		return map[string]setter{"on": into(&p.ClockSkew.On, boolean), "over": into(&p.ClockSkew.Over, positive)}
	case Spool:
		return map[string]setter{"on": into(&p.Spool.On, boolean), "after": into(&p.Spool.After, positive), "bytes": into(&p.Spool.Bytes, size)}
	case Starved:
		return map[string]setter{
			"on": into(&p.Starved.On, boolean), "delay": into(&p.Starved.Delay, positive),
			"pressure": into(&p.Starved.Pressure, between(1, 100)),
		}
	case Waiting:
		return map[string]setter{
			"on": into(&p.Waiting.On, boolean), "after": into(&p.Waiting.After, positive), "occurrence": into(&p.Waiting.Occurrence, positive),
		}
	case Skipped:
		return map[string]setter{
			"on":    into(&p.Skipped.On, boolean),
			"times": into(&p.Skipped.Times, func(v yaml.Value) (int64, error) { return whole(v, 1, maxSkipped) }),
		}
	}
	return map[string]setter{"on": into(&p.Quiet.On, boolean)}
}

// rule reads the keys of one rule. A rule that has any is on, unless on is false.
func (p *Policy) rule(rule string, v yaml.Value) error {
	if rule == Missed {
		return v.Wrong("missed is no rule of a policy: stint job due says when a job is due and how late it may be, and stint job due --off ends that; actions may have missed")
	}
	keys := p.keys(rule)
	given := map[string]bool{}
	err := v.Each(rule, sorted(keys), func(key yaml.Key, v yaml.Value) error {
		given[key.Name] = true
		return keys[key.Name](v)
	})
	if err != nil {
		return err
	}
	if !given["on"] && rule == NoOutput {
		p.NoOutput.On = true
	}
	if !given["critical"] {
		p.Stalled.Critical = max(p.Stalled.Critical, p.Stalled.After)
		p.Memory.Critical = max(p.Memory.Critical, p.Memory.Percent)
	}
	if !given["occurrence"] {
		p.Waiting.Occurrence = min(p.Waiting.Occurrence, p.Waiting.After)
	}
	return p.check(v)
}

// action reads what is done on one rule or end.
func (p *Policy) action(on string, v yaml.Value) error {
	a := p.Actions[on]
	keys := map[string]setter{"notify": into(&a.Notify, boolean), "severity": into(&a.Severity, severity)}
	switch {
	case slices.Contains(JobRules(), on):
		for _, name := range []string{"cancel", "cancel_after", "retry", "backoff"} {
			keys[name] = func(v yaml.Value) error {
				return v.Wrong("%s has no %s: it is a finding of the job, and there is no run to stop or to try again", on, name)
			}
		}
	case slices.Contains(Rules(), on):
		keys["cancel"] = into(&a.Cancel, boolean)
		keys["cancel_after"] = func(v yaml.Value) error {
			a.Cancel = true
			return into(&a.CancelAfter, span)(v)
		}
	case on != Recovered:
		keys["retry"] = func(v yaml.Value) error {
			n, err := whole(v, 0, 100)
			a.Retry = int(n)
			return err
		}
		keys["backoff"] = into(&a.Backoff, span)
		if on == Lost {
			keys["after"] = into(&a.After, span)
		}
	}
	if err := v.Each(on, sorted(keys), func(key yaml.Key, v yaml.Value) error { return keys[key.Name](v) }); err != nil {
		return err
	}
	if on == Quiet && a.Cancel {
		return v.Wrong("a run whose agent sends no heartbeats cannot be canceled")
	}
	p.Actions[on] = a
	return nil
}

// check refuses figures that contradict each other.
func (p *Policy) check(of yaml.Value) error {
	switch {
	case p.Stalled.Critical < p.Stalled.After:
		return of.Wrong("stalled: critical (%s) comes before after (%s)", p.Stalled.Critical.D(), p.Stalled.After.D())
	case p.Memory.Critical < p.Memory.Percent:
		return of.Wrong("memory: critical (%g) is below percent (%g)", p.Memory.Critical, p.Memory.Percent)
	case p.Overdue.Factor > 0 && p.Overdue.Factor < 1:
		return of.Wrong("overdue: with a factor of %g, below 1, most good runs would be overdue", p.Overdue.Factor)
	case p.Memory.Factor > 0 && p.Memory.Factor < 1:
		return of.Wrong("memory: with a factor of %g, below 1, most good runs would have a finding", p.Memory.Factor)
	}
	return nil
}

func sorted(keys map[string]setter) []string {
	var names []string
	for name := range keys {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
