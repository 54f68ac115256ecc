package runs

import (
	"context"

	"stint.dev/stint/internal/server/route"
)

type countRunsIn struct {
	Job    string   `query:"job" maxLength:"200" doc:"Only runs of this job."`
	State  []string `query:"state,explode" maxItems:"20" doc:"Only runs in one of these states; may be given several times."`
	Health []string `query:"health,explode" maxItems:"10" doc:"Only runs with this health: healthy, warning, critical; may be given several times."`
	Label  []string `query:"label,explode" maxItems:"20" doc:"Only runs with this label, as key=value or key:value; given several times, all must match."`
	Q      string   `query:"q" maxLength:"256" doc:"Only runs with this text in job, command, host, id or a label's value."`
	Host   string   `query:"host" maxLength:"256" doc:"Only runs on this host."`
	Since  string   `query:"since" maxLength:"64" doc:"Only runs that started at this time or later; RFC 3339."`
	Until  string   `query:"until" maxLength:"64" doc:"Only runs that started before this time; RFC 3339."`
}

type runCounts struct {
	Total  int64            `json:"total" doc:"Runs that match all filters."`
	State  map[string]int64 `json:"state" doc:"Runs by state, with all filters except state."`
	Health map[string]int64 `json:"health" doc:"Active runs by health, with all filters except health."`
	Exact  bool             `json:"exact" doc:"false: counting stopped early, and the numbers are lower bounds."`
}

// CountRuns responds with the number of runs in each state and with each health.
func (s *Runs) CountRuns(ctx context.Context, in *countRunsIn) (*route.Response[runCounts], error) {
	list := listRunsIn{
		Job: in.Job, State: in.State, Health: in.Health, Label: in.Label, Q: in.Q,
		Host: in.Host, Since: in.Since, Until: in.Until,
	}
	q, err := list.query()
	if err != nil {
		return nil, err
	}
	counts, err := s.Store.RunCounts(ctx, q)
	if err != nil {
		return nil, s.ProblemOf(ctx, "count runs", err)
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
