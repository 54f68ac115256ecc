package policy

import "slices"

// setter reads a value into its place.
type setter func(node) error

func into[T any](to *T, read func(node) (T, error)) setter {
	return func(n node) (err error) {
		v, err := read(n)
		if err == nil {
			*to = v
		}
		return err
	}
}

func between(low, high float64) func(node) (float64, error) {
	return func(n node) (float64, error) { return number(n, low, high) }
}

// positive is a span that must not be zero.
func positive(n node) (Span, error) {
	s, err := span(n)
	if err == nil && s == 0 {
		return 0, at(n, "0 would make the rule hold at once; to switch it off write on: false")
	}
	return s, err
}

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
	}
	return map[string]setter{"on": into(&p.Quiet.On, boolean)}
}

// rule reads the keys of one rule. A rule that has any is on, unless on is false.
func (p *Policy) rule(rule string, v node) error {
	keys := p.keys(rule)
	given := map[string]bool{}
	err := eachKey(v, rule, sorted(keys), func(key string, v node) error {
		given[key] = true
		return keys[key](v)
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
	return p.check(v)
}

// action reads what is done on one rule or end.
func (p *Policy) action(on string, v node) error {
	a := p.Actions[on]
	keys := map[string]setter{"notify": into(&a.Notify, boolean), "severity": into(&a.Severity, severity)}
	if slices.Contains(Rules(), on) {
		keys["cancel"] = into(&a.Cancel, boolean)
		keys["cancel_after"] = func(n node) error {
			a.Cancel = true
			return into(&a.CancelAfter, span)(n)
		}
	} else if on != Recovered {
		keys["retry"] = func(n node) error {
			f, err := number(n, 0, 100)
			if err == nil && f != float64(int(f)) {
				return at(n, "how many attempts must be a whole number")
			}
			a.Retry = int(f)
			return err
		}
		keys["backoff"] = into(&a.Backoff, span)
		if on == Lost {
			keys["after"] = into(&a.After, span)
		}
	}
	if err := eachKey(v, on, sorted(keys), func(key string, v node) error { return keys[key](v) }); err != nil {
		return err
	}
	if on == Quiet && a.Cancel {
		return at(v, "a run whose agent sends no heartbeats cannot be canceled")
	}
	p.Actions[on] = a
	return nil
}

// check refuses figures that contradict each other.
func (p *Policy) check(of node) error {
	switch {
	case p.Stalled.Critical < p.Stalled.After:
		return at(of, "stalled: critical (%s) comes before after (%s)", p.Stalled.Critical.D(), p.Stalled.After.D())
	case p.Memory.Critical < p.Memory.Percent:
		return at(of, "memory: critical (%g) is below percent (%g)", p.Memory.Critical, p.Memory.Percent)
	case p.Overdue.Factor > 0 && p.Overdue.Factor < 1:
		return at(of, "overdue: with a factor of %g, below 1, most good runs would be overdue", p.Overdue.Factor)
	case p.Memory.Factor > 0 && p.Memory.Factor < 1:
		return at(of, "memory: with a factor of %g, below 1, most good runs would have a finding", p.Memory.Factor)
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
