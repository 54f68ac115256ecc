package health

import (
	"context"
	"errors"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// ExplainRun responds with the result of every health rule for a run; for a run that has ended, with the
// last results; and with what a queued run waits for.
func (s *Routes) ExplainRun(ctx context.Context, in *route.RunPath) (*route.Response[api.Explanation], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	l, err := s.Store.Lease(ctx, id)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the lease of run "+id, err)
	}
	p, stored, err := s.policyOf(ctx, l.Job)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the policy of job "+l.Job, err)
	}
	out := api.Explanation{Policy: "default"}
	if stored.YAML != "" {
		out.Policy = "job"
	}
	if l.State == job.Queued || l.State == job.Retrying {
		if out.Waiting, err = s.Queue.ExplainQueued(ctx, id); err != nil {
			return nil, s.ProblemOf(ctx, "explain what run "+id+" waits for", err)
		}
	}
	if out.Occurrence, err = s.Queue.RunOccurrence(ctx, id); err != nil {
		return nil, s.ProblemOf(ctx, "explain for which time run "+id+" was made", err)
	}
	now := s.Now()
	waiting, err := s.explainWaiting(ctx, id, p)
	if err != nil {
		return nil, err
	}
	if l.State == job.Queued && l.Attempt == 0 { // there is nothing yet to judge but its wait
		out.Rules = waiting
		return route.OK(out)
	}
	if !l.State.Active() {
		now = l.ReportedAt
	}
	out.Rules = rules.Explain(l, now, rules.Circumstances{Closed: l.Closed}, p)
	for i := range out.Rules {
		r := &out.Rules[i]
		if !l.State.Active() {
			r.Fires, r.Health, r.Since, r.Next, r.NextCode, r.NextAt = false, "", nil, "", "", nil
			r.Sentence = api.EndedPrefix(l.State) + r.Sentence
		}
	}
	if l.State == job.Lost {
		if err := s.explainLost(ctx, id, out.Rules); err != nil {
			return nil, err
		}
	}
	out.Rules = append(out.Rules, waiting...)
	for i := range out.Rules {
		out.Rules[i].SentenceTimes = job.TimesIn(l.ReportedAt, out.Rules[i].Sentence)
	}
	return route.OK(out)
}

// explainWaiting returns the result of the rule about runs in the queue; none for a run that is not there.
func (s *Routes) explainWaiting(ctx context.Context, id string, p policy.Policy) ([]api.RuleResult, error) {
	now := s.Now()
	w, err := s.Queue.WaitingRun(ctx, id, now)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read how long run "+id+" has waited", err)
	}
	if w == nil {
		return []api.RuleResult{}, nil
	}
	r := rules.ExplainWaiting(*w, now, p)
	r.SentenceTimes = job.TimesIn(now, r.Sentence)
	return []api.RuleResult{r}, nil
}

// explainLost sets the sentence of the rule quiet to the reason why a run was called lost.
func (s *Routes) explainLost(ctx context.Context, id string, results []api.RuleResult) error {
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return s.ProblemOf(ctx, "read run "+id, err)
	}
	for i := range results {
		if results[i].Rule == policy.Quiet && run.Outcome != nil {
			results[i].Sentence = api.EndedPrefix(job.Lost) + run.Outcome.Message
		}
	}
	return nil
}

// policyOf returns the policy that applies to a job. stored is empty if the job has no policy of its own;
// if that policy cannot be parsed, stored has its text and the default applies.
func (s *Routes) policyOf(ctx context.Context, name string) (policy.Policy, policy.Stored, error) {
	stored, err := s.Store.Policy(ctx, name)
	var none *query.NotFoundError
	if errors.As(err, &none) {
		return policy.Default(), policy.Stored{}, nil
	}
	if err != nil {
		return policy.Policy{}, stored, err
	}
	p, err := policy.Parse([]byte(stored.YAML))
	if err != nil {
		p = policy.Default()
	}
	return p, stored, nil
}
