package server

import (
	"context"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// countStore is what counting needs of the store.
type countStore interface {
	// RunCounts counts runs by state and health; Limit and Cursor play no part.
	RunCounts(ctx context.Context, q query.Runs) (query.RunCounts, error)
	// LiveAgents returns the active attempts with their last heartbeats.
	LiveAgents(ctx context.Context) ([]lease.LiveAgent, error)
}

type countRunsIn struct {
	Job    string   `query:"job" maxLength:"200" doc:"Only runs of this job."`
	State  []string `query:"state,explode" maxItems:"20" doc:"Only runs in one of these states; may be given several times."`
	Health []string `query:"health,explode" maxItems:"10" doc:"Only runs judged like this: healthy, warning, critical; may be given several times."`
	Label  []string `query:"label,explode" maxItems:"20" doc:"Only runs with this label, as key=value or key:value; given several times, all must match."`
	Q      string   `query:"q" maxLength:"256" doc:"Only runs with this text in job, command, host, id or a label's value."`
	Host   string   `query:"host" maxLength:"256" doc:"Only runs on this host."`
	Since  string   `query:"since" maxLength:"64" doc:"Only runs that the server heard of then or later; RFC 3339."`
	Until  string   `query:"until" maxLength:"64" doc:"Only runs that the server heard of before; RFC 3339."`
}

type runCounts struct {
	Total  int64            `json:"total" doc:"Runs that pass all filters."`
	State  map[string]int64 `json:"state" doc:"Runs by state, with all filters but that of state."`
	Health map[string]int64 `json:"health" doc:"Active runs by health, with all filters but that of health."`
	Exact  bool             `json:"exact" doc:"false: counting stopped early, and there are at least so many."`
}

// countRuns answers how many runs there are of each state and health.
func (s *Server) countRuns(ctx context.Context, in *countRunsIn) (*route.Answer[runCounts], error) {
	list := listRunsIn{
		Job: in.Job, State: in.State, Health: in.Health, Label: in.Label, Q: in.Q,
		Host: in.Host, Since: in.Since, Until: in.Until,
	}
	q, err := list.query()
	if err != nil {
		return nil, err
	}
	counts, err := s.store.RunCounts(ctx, q)
	if err != nil {
		return nil, s.internal(ctx, "count runs", err)
	}
	out := runCounts{Total: counts.Total, Exact: counts.Exact, State: map[string]int64{}, Health: map[string]int64{}}
	for state, n := range counts.State {
		out.State[string(state)] = n
	}
	for health, n := range counts.Health {
		out.Health[string(health)] = n
	}
	return route.OK(out)
}

type cancelManyIn struct {
	Body struct {
		_      struct{} `additionalProperties:"false"`
		Runs   []string `json:"runs" minItems:"1" maxItems:"1000" nullable:"false" doc:"Ids, or what else names a run."`
		Reason string   `json:"reason,omitempty" maxLength:"1000" doc:"Why, in the caller's words."`
		By     string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	}
}

// canceledRun says what became of one of several runs: canceled, or why not.
type canceledRun struct {
	Run      string `json:"run" doc:"As it was given."`
	Canceled bool   `json:"canceled,omitempty"`
	Error    string `json:"error,omitempty"`
}

type canceledRuns struct {
	Results []canceledRun `json:"results" nullable:"false"`
}

// cancelRuns asks several runs to stop. Each is asked by itself: one that is not there
// does not keep the others.
func (s *Server) cancelRuns(ctx context.Context, in *cancelManyIn) (*route.Answer[canceledRuns], error) {
	out := canceledRuns{Results: make([]canceledRun, 0, len(in.Body.Runs))}
	for _, ref := range in.Body.Runs {
		if ctx.Err() != nil {
			return nil, s.internal(ctx, "cancel runs", ctx.Err())
		}
		one := cancelIn{Run: ref}
		one.Body = &cancelBody{By: in.Body.By, Why: in.Body.Reason}
		res := canceledRun{Run: ref, Canceled: true}
		switch run, stops, err := s.requestCancel(ctx, &one); {
		case err != nil:
			res.Canceled, res.Error = false, httpio.AsProblem(err).Detail
		case !stops:
			res.Canceled, res.Error = false, "run "+job.Quote(ref)+" has ended already: "+string(run.State)
		}
		out.Results = append(out.Results, res)
	}
	return route.OK(out)
}
