package rules

import (
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Current returns the evidence of a lease with its last heartbeat.
func Current(l lease.Lease) lease.Evidence {
	e := l.Evidence
	if l.Beat != nil && l.BeatAt.After(e.At) {
		e = e.Observe(*l.Beat, l.BeatAt, l.Status)
	}
	return e
}

// Explain returns the results of all rules for a run, also of those that are off or do not fire.
func Explain(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) []api.RuleResult {
	out := []api.RuleResult{explainQuiet(l, now, c, p)}
	e := evidence{Evidence: Current(l), state: l.State, policy: p, now: now}
	for _, r := range rules {
		if e.At.IsZero() && r.name != policy.Overdue {
			out = append(out, api.RuleResult{Rule: r.name, On: p.On(r.name), Inputs: map[string]any{}, Sentence: "No heartbeat has arrived."})
			continue
		}
		before, had := FindingOf(l.Findings, r.name)
		e.before = before
		o := r.of(e)
		explained := api.RuleResult{Rule: r.name, On: p.On(r.name), Fires: o.fires, Inputs: o.inputs, Sentence: o.sentence}
		if o.fires {
			f := asFinding(r.name, o, before, had, now, p)
			explained.Health, explained.Since = f.Health, &f.Since
			explained.Next, explained.NextCode, explained.NextAt = f.Next, f.NextCode, f.NextAt
		}
		out = append(out, explained)
	}
	return out
}

// explainQuiet returns the result of the rule quiet.
func explainQuiet(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) api.RuleResult {
	deadline := Deadline(l, c)
	if stored, had := FindingOf(l.Findings, policy.Quiet); had && stored.NextAt != nil {
		deadline = *stored.NextAt // the server that judges may have extended the lease
	}
	r := api.RuleResult{
		Rule: policy.Quiet, On: p.Quiet.On, Fires: IsSilent(l, now, c),
		Next: nextTexts[job.NextLost], NextCode: job.NextLost, NextAt: &deadline,
		Inputs: map[string]any{
			"silent_seconds": rounded(now.Sub(l.ReportedAt).Seconds()), "quiet_after_seconds": QuietAfter(l.EveryPeriod).Seconds(),
			"lease_seconds": l.Length.Seconds(), "period_seconds": periodOr(l.EveryPeriod).Seconds(),
		},
		Sentence: "The agent last reported at " + Clock(l.ReportedAt) + "; the lease ends at " + Clock(l.ExpiresAt) + ".",
	}
	if isSuspended(l) {
		r.Sentence = "The agent suspended itself and the job at " + Clock(l.BeatAt) + ", so this rule does not apply; the lease ends at " + Clock(l.ExpiresAt) + "."
	}
	if r.Fires {
		f := withSeverity(quietFinding(l, c), p)
		r.Health, r.Since, r.Sentence = f.Health, &f.Since, f.Evidence
	}
	return r
}

// findings returns the findings from the heartbeats.
func findings(l lease.Lease, now time.Time, p policy.Policy) []job.Finding {
	var out []job.Finding
	e := evidence{Evidence: Current(l), state: l.State, policy: p, now: now}
	for _, r := range rules {
		if !p.On(r.name) || e.At.IsZero() && r.name != policy.Overdue {
			continue
		}
		if e.BegunAt.IsZero() {
			continue // the evidence of the attempt is not known
		}
		before, had := FindingOf(l.Findings, r.name)
		e.before = before
		if o := r.of(e); o.fires {
			out = append(out, asFinding(r.name, o, before, had, now, p))
		}
	}
	return out
}

// asFinding returns the finding for a result, with the severity and the next action of the policy.
func asFinding(rule string, o result, before job.Finding, had bool, now time.Time, p policy.Policy) job.Finding {
	f := job.Finding{Rule: rule, Health: o.health, Since: o.since, Evidence: o.sentence, Facts: o.inputs}
	switch {
	case had:
		f.Since = before.Since
	case f.Since.IsZero():
		f.Since = now
	}
	if f.Health == job.Warning && !o.critical.IsZero() {
		at := o.critical
		setNext(&f, job.NextCritical, &at)
	}
	if a := p.Actions[rule]; a.Cancel {
		at := f.Since.Add(a.CancelAfter.D())
		switch {
		case now.Before(at) && (f.NextAt == nil || at.Before(*f.NextAt)):
			setNext(&f, job.NextCancel, &at)
		case !now.Before(at):
			setNext(&f, job.NextCanceling, nil)
		}
	}
	return withSeverity(f, p)
}

// withSeverity returns a finding with the severity that the policy sets.
func withSeverity(f job.Finding, p policy.Policy) job.Finding {
	if s := p.Actions[f.Rule].Severity; s != "" {
		f.Health = s
		if f.NextCode == job.NextCritical {
			setNext(&f, "", nil)
		}
	}
	return f
}
