package rules

import (
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// Programs read what happens next from a code, people from a sentence: both say the same.
func TestWhatHappensNextHasACode(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	with := func(a policy.Action) policy.Policy {
		p := policy.Default()
		p.Actions[policy.Stalled] = a
		return p
	}
	worsens := result{health: job.Warning, since: now, critical: now.Add(time.Hour)}
	cancels := policy.Action{Cancel: true, CancelAfter: policy.Span(time.Minute)}
	findingAt := func(at time.Time, o result, a policy.Action) job.Finding {
		return asFinding(policy.Stalled, o, job.Finding{}, false, at, with(a))
	}
	for name, c := range map[string]struct {
		f    job.Finding
		want job.NextCode
		at   time.Time
	}{
		"nothing":         {findingAt(now, result{health: job.Warning}, policy.Action{}), "", time.Time{}},
		"critical":        {findingAt(now, worsens, policy.Action{}), job.NextCritical, now.Add(time.Hour)},
		"severity is set": {findingAt(now, worsens, policy.Action{Severity: job.Warning}), "", time.Time{}},
		"cancel":          {findingAt(now, worsens, cancels), job.NextCancel, now.Add(time.Minute)},
		"canceling":       {findingAt(now.Add(time.Minute), worsens, cancels), job.NextCanceling, time.Time{}},
		"lost":            {quietFinding(lease.Lease{ReportedAt: now, ExpiresAt: now.Add(time.Minute)}, Circumstances{}), job.NextLost, now.Add(time.Minute)},
	} {
		at := time.Time{}
		if c.f.NextAt != nil {
			at = *c.f.NextAt
		}
		if c.f.NextCode != c.want || c.f.Next != nextTexts[c.want] || !at.Equal(c.at) {
			t.Errorf("%s: got %q (%q) at %s, want %q at %s", name, c.f.NextCode, c.f.Next, at, c.want, c.at)
		}
		if (c.f.Next == "") != (c.want == "") {
			t.Errorf("%s: the code is %q and the sentence %q", name, c.f.NextCode, c.f.Next)
		}
	}
}
