package rules

import (
	"fmt"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// lostEntries returns the entries of the outbox for a lost run. If the agent is only silent, the
// notification is delayed, because the agent may report again.
func lostEntries(l lease.Lease, v lease.Verdict, p policy.Policy) []outbox.Entry {
	var out []outbox.Entry
	a := p.Actions[policy.Lost]
	notify := v.At
	if !v.Disconnected {
		notify = v.At.Add(a.After.D())
	}
	if a.Notify {
		severity := job.Critical
		if a.Severity != "" {
			severity = a.Severity
		}
		out = append(out, outbox.Entry{
			Kind: outbox.Notify, Run: l.Run, Attempt: l.Attempt, What: outbox.WhatLost,
			Severity: severity, Message: v.Evidence, At: v.At, After: notify,
		})
	}
	if l.Attempt <= a.Retry {
		out = append(out, outbox.Entry{
			Kind: outbox.Retry, Run: l.Run, Attempt: l.Attempt, What: outbox.WhatLost, Message: v.Evidence,
			At: v.At, After: v.At.Add(a.Backoff.D()), By: job.PolicyAuthor,
		})
	}
	return out
}

// findingEntries returns the entries of the outbox for findings that began, became worse or ended.
func findingEntries(l lease.Lease, v lease.Verdict, p policy.Policy) []outbox.Entry {
	var out []outbox.Entry
	for _, f := range v.Findings {
		before, had := FindingOf(l.Findings, f.Rule)
		worse := !had || before.Health == job.Warning && f.Health == job.Critical
		if p.Actions[f.Rule].Notify && worse {
			out = append(out, outbox.Entry{
				Kind: outbox.Notify, Run: l.Run, Attempt: l.Attempt, What: f.Rule, Severity: f.Health, Message: f.Evidence, At: v.At,
			})
		}
		if f.NextCode == job.NextCanceling && before.Next != f.Next && l.State != job.Stopping {
			out = append(out, outbox.Entry{
				Kind: outbox.Cancel, Run: l.Run, Attempt: l.Attempt, What: f.Rule,
				Message: fmt.Sprintf("%s: %s", f.Rule, f.Evidence), At: v.At, By: job.PolicyAuthor,
			})
		}
	}
	for _, f := range l.Findings {
		if _, still := FindingOf(v.Findings, f.Rule); still || !p.Actions[f.Rule].Notify {
			continue
		}
		out = append(out, outbox.Entry{
			Kind: outbox.Notify, Run: l.Run, Attempt: l.Attempt, What: outbox.WhatRecovered, Severity: f.Health,
			Message: overText + f.Evidence, Ends: f.Rule, At: v.At,
		})
	}
	return out
}
