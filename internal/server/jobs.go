package server

import (
	"context"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// jobRoutes are the rows about jobs.
func (s *Server) jobRoutes() []route {
	return []route{
		{method: "GET", pattern: "/api/v1/jobs", scope: access.Read, rest: rest(s.listJobs), summary: "List jobs with their figures, in the order of names"},
		{method: "GET", pattern: "/api/v1/jobs/{job}", scope: access.Read, rest: rest(s.getJob), summary: "Get one job with its figures"},
		{method: "DELETE", pattern: "/api/v1/jobs/{job}", scope: access.Admin, rest: rest(s.deleteJob), stream: true, summary: "Delete a job with all its runs"},
		{
			method: "GET", pattern: "/api/v1/jobs/{job}/badge.svg", scope: s.badgeScope(), handle: s.getBadge,
			summary: "Get a badge with the state of a job's last run", doc: docBadge,
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
func (s *Server) listJobs(ctx context.Context, in *listJobsIn) (*answered[jobList], error) {
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
	return &answered[jobList]{out}, nil
}

type jobPath struct {
	Job string `path:"job" maxLength:"600" doc:"The job's name."`
}

// getJob answers one job with its figures.
func (s *Server) getJob(ctx context.Context, in *jobPath) (*answered[job.Summary], error) {
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
	return &answered[job.Summary]{sum}, nil
}

type deletedJob struct {
	Job  string `json:"job"`
	Runs int64  `json:"runs" doc:"How many runs went with it."`
}

// deleteJob deletes a job with all its runs. A deletion that was broken off goes on when it is
// asked for again.
func (s *Server) deleteJob(ctx context.Context, in *jobPath) (*answered[deletedJob], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	runs, err := s.store.DeleteJob(ctx, in.Job)
	if err != nil {
		return nil, s.internal(ctx, "delete job "+job.Quote(in.Job), err)
	}
	return &answered[deletedJob]{deletedJob{in.Job, runs}}, nil
}
