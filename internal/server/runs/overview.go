package runs

import (
	"cmp"
	"context"
	"slices"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job/api"
)

// overviewHosts is how many hosts an overview lists.
const overviewHosts = 8

type overviewIn struct {
	Limit           int    `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"The most runs that need attention, and the most jobs, to return."`
	AttentionCursor string `query:"attention_cursor" maxLength:"512" doc:"next_cursor of attention: return only its next page."`
	JobsCursor      string `query:"jobs_cursor" maxLength:"1000" doc:"next_cursor of jobs: return only their next page."`
	Older           bool   `query:"older" doc:"List the runs that need attention and ended more than 30 days ago, instead of the others."`
}

type (
	overviewAnswer struct {
		api.Overview
		Fleet  fleetAnswer     `json:"fleet"`
		Server serverCondition `json:"server"`
	}
	serverCondition struct {
		Degraded []string `json:"degraded" nullable:"false" doc:"What is impaired, as in /readyz; one sentence each."`
		Troubled int      `json:"troubled" doc:"Items that could not be processed and are tried again later, as in /api/v1/troubled; at most 500 are counted."`
	}
)

// GetOverview responds with what the first view of the web page shows.
func (s *Runs) GetOverview(ctx context.Context, in *overviewIn) (*route.Response[overviewAnswer], error) {
	view, err := s.Store.Overview(ctx, query.Overview{
		Now: s.Now(), Limit: in.Limit, AttentionCursor: in.AttentionCursor, JobsCursor: in.JobsCursor, Older: in.Older,
	})
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the overview", err)
	}
	fleet, err := s.readFleet(ctx)
	if err != nil {
		return nil, err
	}
	troubled, err := s.Store.Troubled(ctx, maxTroubledItems)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read troubled items", err)
	}
	out := overviewAnswer{Overview: view, Fleet: fleet, Server: serverCondition{Degraded: s.Degraded(), Troubled: len(troubled)}}
	if out.Server.Degraded == nil {
		out.Server.Degraded = []string{}
	}
	out.Fleet.Hosts = append([]fleetHost{}, fleet.Hosts...)
	slices.SortStableFunc(out.Fleet.Hosts, func(a, b fleetHost) int { return cmp.Compare(b.CPUCores, a.CPUCores) })
	out.Fleet.Hosts = out.Fleet.Hosts[:min(len(out.Fleet.Hosts), overviewHosts)]
	return route.OK(out)
}
