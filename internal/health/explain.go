package health

import (
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// Current is the evidence of a lease with its last heartbeat in it.
func Current(l lease.Lease) lease.Evidence {
	e := l.Evidence
	if l.Beat != nil && l.BeatAt.After(e.At) {
		e = e.Observe(*l.Beat, l.BeatAt, l.Status)
	}
	return e
}

// Explain says what every rule makes of a run, whether it is on or not and whether it
// holds or not.
func Explain(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) []job.RuleResult {
	out := []job.RuleResult{explainQuiet(l, now, c, p)}
	e := evidence{Evidence: Current(l), state: l.State, policy: p, now: now}
	for _, r := range rules {
		if e.At.IsZero() && r.name != policy.Overdue {
			out = append(out, job.RuleResult{Rule: r.name, On: p.On(r.name), Inputs: map[string]any{}, Sentence: "No heartbeat has come yet."})
			continue
		}
		before, had := findingOf(l.Findings, r.name)
		e.before = before
		o := r.of(e)
		result := job.RuleResult{Rule: r.name, On: p.On(r.name), Fires: o.fires, Inputs: o.inputs, Sentence: o.sentence}
		if o.fires {
			f := asFinding(r.name, o, before, had, now, p)
			result.Health, result.Since = f.Health, &f.Since
			result.Next, result.NextCode, result.NextAt = f.Next, f.NextCode, f.NextAt
		}
		out = append(out, result)
	}
	return out
}

func explainQuiet(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) job.RuleResult {
	deadline := Deadline(l, c)
	if stored, had := findingOf(l.Findings, policy.Quiet); had && stored.NextAt != nil {
		deadline = *stored.NextAt // of the server that judges, which may have extended the lease
	}
	r := job.RuleResult{
		Rule: policy.Quiet, On: p.Quiet.On, Fires: Silent(l, now, c),
		Next: nextWords[job.NextLost], NextCode: job.NextLost, NextAt: &deadline,
		Inputs: map[string]any{
			"silent_seconds": rounded(now.Sub(l.ReportedAt).Seconds()), "quiet_after_seconds": QuietAfter(l.EveryPeriod).Seconds(),
			"lease_seconds": l.Length.Seconds(), "period_seconds": periodOr(l.EveryPeriod).Seconds(),
		},
		Sentence: "Last heartbeat at " + clock(l.ReportedAt) + "; the lease holds until " + clock(l.ExpiresAt) + ".",
	}
	if Suspended(l) {
		r.Sentence = "The agent stopped itself and the job at " + clock(l.BeatAt) + ", and this rule rests; the lease holds until " + clock(l.ExpiresAt) + "."
	}
	if r.Fires {
		f := withSeverity(quiet(l, c), p)
		r.Health, r.Since, r.Sentence = f.Health, &f.Since, f.Evidence
	}
	return r
}

// findings are those that hold by the heartbeats.
func findings(l lease.Lease, now time.Time, p policy.Policy) []job.Finding {
	var out []job.Finding
	e := evidence{Evidence: Current(l), state: l.State, policy: p, now: now}
	for _, r := range rules {
		if !p.On(r.name) || e.At.IsZero() && r.name != policy.Overdue {
			continue
		}
		if e.BegunAt.IsZero() {
			continue // an attempt of which nothing was remembered
		}
		before, had := findingOf(l.Findings, r.name)
		e.before = before
		if o := r.of(e); o.fires {
			out = append(out, asFinding(r.name, o, before, had, now, p))
		}
	}
	return out
}

// asFinding adds what the policy says: how bad it is, and what happens next.
func asFinding(rule string, o opinion, before job.Finding, had bool, now time.Time, p policy.Policy) job.Finding {
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

func withSeverity(f job.Finding, p policy.Policy) job.Finding {
	if s := p.Actions[f.Rule].Severity; s != "" {
		f.Health = s
		if f.NextCode == job.NextCritical {
			setNext(&f, "", nil)
		}
	}
	return f
}
