package server

import (
	"context"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// jobRoutes are the rows about jobs.
func (s *Server) jobRoutes() []route.Row {
	return []route.Row{
		{Method: "GET", Pattern: "/api/v1/jobs", Scope: access.Read, Typed: route.Typed(s.listJobs), Summary: "List jobs with their figures, in the order of names"},
		{Method: "GET", Pattern: "/api/v1/jobs/{job}", Scope: access.Read, Typed: route.Typed(s.getJob), Summary: "Get one job with its figures"},
		{Method: "DELETE", Pattern: "/api/v1/jobs/{job}", Scope: access.Admin, Typed: route.Typed(s.deleteJob), Stream: true, Summary: "Delete a job with all its runs"},
		{
			Method: "GET", Pattern: "/api/v1/jobs/{job}/badge.svg", Scope: s.badgeScope(), Handle: s.getBadge,
			Summary: "Get a badge with the state of a job's last run", Doc: docBadge,
		},
	}
}

type listJobsIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"200" doc:"The most jobs to return."`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before."`
}

type jobList struct {
	Jobs       []job.Summary `json:"jobs" nullable:"false"`
	NextCursor *string       `json:"next_cursor" doc:"Ask for the next page with this as cursor; null on the last page."`
}

// listJobs answers a page of jobs with their figures.
func (s *Server) listJobs(ctx context.Context, in *listJobsIn) (*route.Answer[jobList], error) {
	page, err := s.store.Jobs(ctx, query.Jobs{Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, s.internal(ctx, "list jobs", err)
	}
	out := jobList{Jobs: page.Jobs}
	if page.Jobs == nil {
		out.Jobs = []job.Summary{}
	}
	if page.Cursor != "" {
		out.NextCursor = &page.Cursor
	}
	names := make([]string, len(out.Jobs))
	for i := range out.Jobs {
		names[i] = out.Jobs[i].Name
	}
	expected, err := s.store.Expected(ctx, names...)
	if err != nil {
		return nil, s.internal(ctx, "list jobs", err)
	}
	for i := range out.Jobs {
		out.Jobs[i].Expected = expected[out.Jobs[i].Name]
	}
	return route.OK(out)
}

// getJob answers one job with its figures.
func (s *Server) getJob(ctx context.Context, in *route.JobPath) (*route.Answer[job.Summary], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	sum, err := s.store.Job(ctx, in.Job)
	if err != nil {
		return nil, s.internal(ctx, "read job "+job.Quote(in.Job), err)
	}
	expected, err := s.store.Expected(ctx, in.Job)
	if err != nil {
		return nil, s.internal(ctx, "read job "+job.Quote(in.Job), err)
	}
	sum.Expected = expected[in.Job]
	return route.OK(sum)
}

type deletedJob struct {
	Job  string `json:"job"`
	Runs int64  `json:"runs" doc:"How many runs went with it."`
}

// deleteJob deletes a job with all its runs. A deletion that was broken off goes on when it is
// asked for again.
func (s *Server) deleteJob(ctx context.Context, in *route.JobPath) (*route.Answer[deletedJob], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	runs, err := s.store.DeleteJob(ctx, in.Job)
	if err != nil {
		return nil, s.internal(ctx, "delete job "+job.Quote(in.Job), err)
	}
	return route.OK(deletedJob{in.Job, runs})
}
