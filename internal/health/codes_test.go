package health

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
	worsens := opinion{health: job.Warning, since: now, critical: now.Add(time.Hour)}
	cancels := policy.Action{Cancel: true, CancelAfter: policy.Span(time.Minute)}
	findingAt := func(at time.Time, o opinion, a policy.Action) job.Finding {
		return asFinding(policy.Stalled, o, job.Finding{}, false, at, with(a))
	}
	for name, c := range map[string]struct {
		f    job.Finding
		want job.NextCode
		at   time.Time
	}{
		"nothing":         {findingAt(now, opinion{health: job.Warning}, policy.Action{}), "", time.Time{}},
		"critical":        {findingAt(now, worsens, policy.Action{}), job.NextCritical, now.Add(time.Hour)},
		"severity is set": {findingAt(now, worsens, policy.Action{Severity: job.Warning}), "", time.Time{}},
		"cancel":          {findingAt(now, worsens, cancels), job.NextCancel, now.Add(time.Minute)},
		"canceling":       {findingAt(now.Add(time.Minute), worsens, cancels), job.NextCanceling, time.Time{}},
		"lost":            {quiet(lease.Lease{ReportedAt: now, ExpiresAt: now.Add(time.Minute)}, Circumstances{}), job.NextLost, now.Add(time.Minute)},
	} {
		at := time.Time{}
		if c.f.NextAt != nil {
			at = *c.f.NextAt
		}
		if c.f.NextCode != c.want || c.f.Next != nextWords[c.want] || !at.Equal(c.at) {
			t.Errorf("%s: got %q (%q) at %s, want %q at %s", name, c.f.NextCode, c.f.Next, at, c.want, c.at)
		}
		if (c.f.Next == "") != (c.want == "") {
			t.Errorf("%s: the code is %q and the sentence %q", name, c.f.NextCode, c.f.Next)
		}
	}
}

func TestCausesNameWhatTheyRepeat(t *testing.T) {
	for name, c := range map[string]struct {
		clues Clues
		want  map[string]job.CauseSource
	}{
		"a line of the log": {
			ended(job.Failed, job.ExitCode, saying("connect: connection refused")),
			map[string]job.CauseSource{"network": job.SourceLog, "said_so_itself": job.SourceLog},
		},
		"the message of the outcome": {
			ended(job.Failed, job.CouldNotStart),
			map[string]job.CauseSource{"could_not_start": job.SourceOutcome},
		},
		"a finding": {
			stalling(),
			map[string]job.CauseSource{"stopped_making_progress": job.SourceFinding},
		},
		"words of its own": {
			ended(job.Lost, job.AgentLost, func(c *Clues) { c.Since, c.Changes = "#3", []job.Change{{What: "command"}} }),
			map[string]job.CauseSource{"agent_killed": "", "changed": ""},
		},
	} {
		d := Diagnose(c.clues)
		if d == nil {
			t.Errorf("%s: there is no diagnosis", name)
			continue
		}
		for _, cause := range d.Causes {
			if want, known := c.want[cause.Cause]; !known || cause.Source != want {
				t.Errorf("%s: the source of %s (%q) is %q, want %q", name, cause.Cause, cause.Evidence, cause.Source, want)
			}
			delete(c.want, cause.Cause)
		}
		if len(c.want) > 0 {
			t.Errorf("%s: causes %v are missing", name, c.want)
		}
	}
}
