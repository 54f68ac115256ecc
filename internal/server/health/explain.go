package health

import (
	"context"
	"errors"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// ExplainRun answers what every rule makes of a run now; of a run that has ended, what it
// made of it last.
func (s *Routes) ExplainRun(ctx context.Context, in *route.RunPath) (*route.Answer[job.Explanation], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	l, err := s.Store.Lease(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "read the lease of run "+id, err)
	}
	p, stored, err := s.policyOf(ctx, l.Job)
	if err != nil {
		return nil, s.Internal(ctx, "read the policy of job "+l.Job, err)
	}
	out := job.Explanation{Policy: "default"}
	if stored.YAML != "" {
		out.Policy = "job"
	}
	now := s.Now()
	if !l.State.Active() {
		now = l.ReportedAt
	}
	out.Rules = health.Explain(l, now, health.Circumstances{Closed: l.Closed}, p)
	for i := range out.Rules {
		r := &out.Rules[i]
		if !l.State.Active() {
			r.Fires, r.Health, r.Since, r.Next, r.NextCode, r.NextAt = false, "", nil, "", "", nil
			r.Sentence = job.EndedPrefix(l.State) + r.Sentence
		}
	}
	if l.State == job.Lost {
		if err := s.explainLost(ctx, id, out.Rules); err != nil {
			return nil, err
		}
	}
	return route.OK(out)
}

// explainLost has the rule about silence say why a run was lost.
func (s *Routes) explainLost(ctx context.Context, id string, rules []job.RuleResult) error {
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return s.Internal(ctx, "read run "+id, err)
	}
	for i := range rules {
		if rules[i].Rule == policy.Quiet && run.Outcome != nil {
			rules[i].Sentence = job.EndedPrefix(job.Lost) + run.Outcome.Message
		}
	}
	return nil
}

// policyOf is the policy that holds for a job; stored is empty for the default, and has the
// text also of a policy that cannot be read: the default holds instead.
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
