package runs

import (
	"context"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

type listJobsIn struct {
	State  []string `query:"state,explode" maxItems:"20" doc:"Only jobs whose last run is in one of these states; may be given several times."`
	Label  []string `query:"label,explode" maxItems:"20" doc:"Only jobs whose last run has this label, as key=value or key:value; given several times, all must match."`
	Q      string   `query:"q" maxLength:"256" doc:"Only jobs with this text in the name."`
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"200" doc:"The most jobs to return."`
	Cursor string   `query:"cursor" maxLength:"1000" doc:"next_cursor of the previous page."`
}

// query returns the query for the filters, or an error for an invalid one.
func (in *listJobsIn) query() (q query.Jobs, err error) {
	q = query.Jobs{Text: in.Q, Limit: in.Limit, Cursor: in.Cursor}
	if err := checkTexts(in.Q); err != nil {
		return q, err
	}
	if q.States, err = readStates(in.State); err != nil {
		return q, err
	}
	q.Labels, err = readLabels(in.Label)
	return q, err
}

type jobList struct {
	Jobs       []api.Summary `json:"jobs" nullable:"false"`
	NextCursor *string       `json:"next_cursor" doc:"The cursor of the next page; null on the last page."`
}

// ListJobs responds with a page of jobs with their figures.
func (s *Runs) ListJobs(ctx context.Context, in *listJobsIn) (*route.Response[jobList], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Jobs(ctx, q)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list jobs", err)
	}
	out := jobList{Jobs: page.Jobs}
	if page.Jobs == nil {
		out.Jobs = []api.Summary{}
	}
	if page.Cursor != "" {
		out.NextCursor = &page.Cursor
	}
	names := make([]string, len(out.Jobs))
	for i := range out.Jobs {
		names[i] = out.Jobs[i].Name
	}
	expected, err := s.Store.Expected(ctx, names...)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list jobs", err)
	}
	for i := range out.Jobs {
		out.Jobs[i].Expected = expected[out.Jobs[i].Name]
	}
	return route.OK(out)
}

// GetJob responds with one job with its figures.
func (s *Runs) GetJob(ctx context.Context, in *route.JobPath) (*route.Response[api.Summary], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	sum, err := s.Store.Job(ctx, in.Job)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read job "+job.Quote(in.Job), err)
	}
	expected, err := s.Store.Expected(ctx, in.Job)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read job "+job.Quote(in.Job), err)
	}
	sum.Expected = expected[in.Job]
	return route.OK(sum)
}
