package server

import (
	"context"
	"errors"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// healthStore is what the server needs of health, policies and comparisons.
type healthStore interface {
	// Lease returns what a judgement of a run needs, whether it is active or not.
	Lease(ctx context.Context, run string) (lease.Lease, error)
	// Policy returns the policy that was set for a job.
	Policy(ctx context.Context, name string) (policy.Stored, error)
	SetPolicy(ctx context.Context, p policy.Stored, actions []byte) error
	DeletePolicy(ctx context.Context, name string) error
	// Expected returns what is usual for jobs now, by name; without names for all.
	Expected(ctx context.Context, names ...string) (map[string]*job.Expected, error)
	// GoodRunsBefore returns runs of the same job that succeeded and started before a run, the
	// last ones first.
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
	// Neighbors returns the runs of the same job that started just before and just after a run.
	Neighbors(ctx context.Context, run job.Run) (job.Neighbors, error)
	// LastBlocks returns the heads of the last blocks of an attempt's journal, in order.
	LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error)
}

// healthRoutes are the rows about judgement.
func (s *Server) healthRoutes() []route.Row {
	const (
		run = "/api/v1/runs/{run}"
		own = "/api/v1/jobs/{job}/policy"
	)
	return []route.Row{
		{Method: "GET", Pattern: run + "/explain", Scope: access.Read, Typed: route.Typed(s.explainRun), Summary: "Tell what every health rule makes of a run, on what figures, and what would happen next"},
		{Method: "GET", Pattern: run + "/changes", Scope: access.Read, Typed: route.Typed(s.listChanges), Summary: "List what changed since the last good run of the job, or since another run"},
		{Method: "GET", Pattern: run + "/neighbors", Scope: access.Read, Typed: route.Typed(s.getNeighbors), Summary: "Get the runs of the job that started just before and just after a run"},
		{Method: "GET", Pattern: run + "/band", Scope: access.Read, Typed: route.Typed(s.runs.GetBand), Summary: "Get what the last good runs before this one used over time"},
		{Method: "GET", Pattern: own, Scope: access.Read, Typed: route.Typed(s.getPolicy), Summary: "Get the policy of a job"},
		{Method: "PUT", Pattern: own, Scope: access.Write, Handle: s.putPolicy, Summary: "Set the policy of a job", Doc: docPutPolicy},
		{Method: "DELETE", Pattern: own, Scope: access.Write, Typed: route.Typed(s.deletePolicy), Summary: "Let the default policy hold for a job"},
		{Method: "POST", Pattern: own + "/test", Scope: access.Read, Handle: s.testPolicy, Stream: true, Summary: "Tell what a policy would have raised and missed in the stored runs of a job", Doc: docTestPolicy},
	}
}

// explainRun answers what every rule makes of a run now; of a run that has ended, what it
// made of it last.
func (s *Server) explainRun(ctx context.Context, in *route.RunPath) (*route.Answer[job.Explanation], error) {
	id, err := s.findRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	l, err := s.store.Lease(ctx, id)
	if err != nil {
		return nil, s.internal(ctx, "read the lease of run "+id, err)
	}
	p, stored, err := s.policyOf(ctx, l.Job)
	if err != nil {
		return nil, s.internal(ctx, "read the policy of job "+l.Job, err)
	}
	out := job.Explanation{Policy: "default"}
	if stored.YAML != "" {
		out.Policy = "job"
	}
	now := s.now()
	if !l.State.Active() {
		now = l.HeardAt
	}
	out.Rules = health.Explain(l, now, health.Circumstances{Closed: l.Closed}, p)
	for i := range out.Rules {
		r := &out.Rules[i]
		if !l.State.Active() {
			r.Fires, r.Health, r.Since, r.Next, r.NextCode, r.NextAt = false, "", nil, "", "", nil
			r.Sentence = job.EndedRuling(l.State) + r.Sentence
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
func (s *Server) explainLost(ctx context.Context, id string, rules []job.Ruling) error {
	run, err := s.store.Run(ctx, id)
	if err != nil {
		return s.internal(ctx, "read run "+id, err)
	}
	for i := range rules {
		if rules[i].Rule == policy.Quiet && run.Outcome != nil {
			rules[i].Sentence = job.EndedRuling(job.Lost) + run.Outcome.Message
		}
	}
	return nil
}

// policyOf is the policy that holds for a job; stored is empty for the default, and has the
// text also of a policy that cannot be read: the default holds instead.
func (s *Server) policyOf(ctx context.Context, name string) (policy.Policy, policy.Stored, error) {
	stored, err := s.store.Policy(ctx, name)
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
