package rules

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// JudgeWaiting returns the verdict on a run in the queue, and whether it changes the run. since is since when this
// server judges without interruption: workers need queue.WorkerGrace from then to ask again, and until that nothing begins
// to fire, and what fires ends only because people want the run to wait.
func JudgeWaiting(w queue.WaitingRun, now, since time.Time, p policy.Policy) (lease.Verdict, bool) {
	v := lease.Verdict{Run: w.Run, Attempt: w.Attempt, At: now, Waiting: true}
	before, had := FindingOf(w.Findings, policy.Waiting)
	o := waiting(w, now, since, p)
	if isTooSoon(now, since) && had {
		o.fires = !w.Since.IsZero()
		o.sentence, o.health, o.inputs = before.Evidence, job.Warning, before.Facts
	}
	if p.Waiting.On && o.fires {
		v.Findings = []job.Finding{waitingFinding(w, o, now, p)}
		v.Health = v.Findings[0].Health
	}
	l := lease.Lease{Run: w.Run, Attempt: w.Attempt, Job: w.Job, State: w.State, Health: w.Health, Findings: w.Findings}
	if v.Health == l.Health && slices.EqualFunc(l.Findings, v.Findings, sameFinding) {
		return v, false
	}
	v.Evidence = verdictEvidence(l, v.Findings, false)
	v.Outbox = findingEntries(l, v, p)
	return v, true
}

// isTooSoon reports whether the server has judged without interruption for so short a time that the absence of workers says nothing.
func isTooSoon(now, since time.Time) bool { return now.Sub(since) < queue.WorkerGrace }

// waiting fires if no worker could ever take the run, or if it has waited for too long for a worker or for a place in its
// group. Time in which the submitter or a person wanted it to wait does not count, nor does that before the start of another
// run of the job, if that is active: the queue moves.
func waiting(w queue.WaitingRun, now, since time.Time, p policy.Policy) result {
	limit := p.Waiting.After.D()
	if w.Occurrence {
		limit = p.Waiting.Occurrence.D()
	}
	o := result{health: job.Warning, inputs: map[string]any{"limit_seconds": limit.Seconds(), "workers": w.Supply.Workers}}
	if w.Since.IsZero() {
		o.sentence = "It waits because its submitter or a person wants it to, so this rule does not apply."
		return o
	}
	from := Later(w.Since, w.JobStarted)
	o.inputs["waited_seconds"] = rounded(max(now.Sub(from), 0).Seconds())
	unable := Later(Later(w.Since, w.AbleUntil), since).Add(queue.WorkerGrace)
	switch {
	case w.Supply.Matching == 0 && !now.Before(unable):
		o.fires, o.since = true, unable
		o.sentence = queue.Unable(w.Supply, w.Selector)
	case !isTooSoon(now, since) && now.Sub(from) >= limit:
		o.fires, o.since = true, from.Add(limit)
		o.sentence = waitedText(w, from) + "."
	case w.Supply.Matching == 0:
		o.sentence = queue.Unable(w.Supply, w.Selector) + " That is a finding at " + Clock(unable) + ", unless one can take it by then."
	default:
		o.sentence = waitedText(w, from) + "; the limit is " + Span(limit) + "."
	}
	return o
}

// waitedText says for what a run has waited, and since when.
func waitedText(w queue.WaitingRun, from time.Time) string {
	text := "It has waited for a worker since " + job.TimeText(from)
	if w.Gate == queue.Full {
		text = fmt.Sprintf("It has waited for a place in group %s since %s", job.Quote(w.Line.Group), job.TimeText(from))
	}
	if from.After(w.Since) {
		text += ", when the last run of the job started"
	}
	return text
}

// waitingFinding returns the finding, with what happens first: what the policy does, or the end of the time in which the
// run may start.
func waitingFinding(w queue.WaitingRun, o result, now time.Time, p policy.Policy) job.Finding {
	before, had := FindingOf(w.Findings, policy.Waiting)
	f := asFinding(policy.Waiting, o, before, had, now, p)
	if by := w.StartBy; by != nil && f.NextCode != job.NextCanceling && (f.NextAt == nil || by.Before(*f.NextAt)) {
		setNext(&f, job.NextCancel, by)
	}
	return f
}

// ExplainWaiting returns the result of the rule about a run in the queue.
func ExplainWaiting(w queue.WaitingRun, now time.Time, p policy.Policy) api.RuleResult {
	o := waiting(w, now, time.Time{}, p)
	r := api.RuleResult{Rule: policy.Waiting, On: p.Waiting.On, Fires: o.fires, Inputs: o.inputs, Sentence: o.sentence}
	if o.fires {
		f := waitingFinding(w, o, now, p)
		r.Health, r.Since = f.Health, &f.Since
		r.Next, r.NextCode, r.NextAt = f.Next, f.NextCode, f.NextAt
	}
	return r
}
