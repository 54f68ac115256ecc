package runs

import (
	"cmp"
	"context"
	"slices"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// overviewHosts is how many hosts an overview lists.
const overviewHosts = 8

type overviewIn struct {
	Limit           int    `query:"limit" minimum:"1" maximum:"100" default:"100" doc:"The most runs that need attention, and the most jobs, to return."`
	AttentionCursor string `query:"attention_cursor" maxLength:"512" doc:"next_cursor of attention: the answer goes on with it, and lists nothing else."`
	JobsCursor      string `query:"jobs_cursor" maxLength:"1000" doc:"next_cursor of jobs: the answer goes on with them, and lists nothing else."`
	Older           bool   `query:"older" doc:"List the runs that need attention and ended more than 30 days ago, instead of the others."`
}

type (
	overviewAnswer struct {
		job.Overview
		Fleet  fleetAnswer     `json:"fleet"`
		Server serverCondition `json:"server"`
	}
	serverCondition struct {
		Degraded []string `json:"degraded" nullable:"false" doc:"What works less well than it should, as /readyz says; one sentence each."`
		Troubled int      `json:"troubled" doc:"Items that could not be done and are tried again later, as /api/v1/troubled lists them; at most 500 are counted."`
	}
)

// GetOverview answers what the first view of the page shows.
func (s *Runs) GetOverview(ctx context.Context, in *overviewIn) (*route.Answer[overviewAnswer], error) {
	view, err := s.Store.Overview(ctx, query.Overview{
		Now: s.Now(), Limit: in.Limit, AttentionCursor: in.AttentionCursor, JobsCursor: in.JobsCursor, Older: in.Older,
	})
	if err != nil {
		return nil, s.Internal(ctx, "read the overview", err)
	}
	fleet, err := s.readFleet(ctx)
	if err != nil {
		return nil, err
	}
	troubled, err := s.Store.Troubled(ctx, maxTroubledItems)
	if err != nil {
		return nil, s.Internal(ctx, "read troubled items", err)
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
