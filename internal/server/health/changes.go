package health

import (
	"context"

	"stint.dev/stint/internal/health/diagnose"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

type changesIn struct {
	Run  string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	With string `query:"with" maxLength:"900" doc:"The run to compare with, given in the same way; without it, the last good run of the job before this one."`
}

// ListChanges responds with the differences between a run and the last good run before it, or another run.
func (s *Routes) ListChanges(ctx context.Context, in *changesIn) (*route.Response[api.Changes], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read run "+id, err)
	}
	out := api.Changes{Changes: []api.Change{}}
	before, err := s.compareWith(ctx, run, in.With)
	if err != nil {
		return nil, err
	}
	if before == nil {
		return route.OK(out)
	}
	out.Since = &api.ChangesSince{ID: before.ID, Number: before.Number, EndedAt: before.EndedAt}
	if out.Changes, err = diagnose.Compare(ctx, s.Store, *before, run); err != nil {
		return nil, s.ProblemOf(ctx, "compare run "+id+" with run "+before.ID, err)
	}
	return route.OK(out)
}

// GetNeighbors responds with the runs of the same job that started just before and just after a run.
func (s *Routes) GetNeighbors(ctx context.Context, in *route.RunPath) (*route.Response[api.Neighbors], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read run "+id, err)
	}
	out, err := s.Store.Neighbors(ctx, run)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the runs beside run "+id, err)
	}
	return route.OK(out)
}

// compareWith returns the run to compare with; nil if there is none.
func (s *Routes) compareWith(ctx context.Context, run job.Run, with string) (*job.Run, error) {
	if with != "" {
		id, err := s.FindRun(ctx, with)
		if err != nil {
			return nil, err
		}
		other, err := s.Store.Run(ctx, id)
		if err != nil {
			return nil, s.ProblemOf(ctx, "read run "+id, err)
		}
		return &other, nil
	}
	good, err := s.Store.GoodRunsBefore(ctx, run, 1)
	if err != nil {
		return nil, s.ProblemOf(ctx, "find the last good run of job "+run.Job, err)
	}
	if len(good) == 0 {
		return nil, nil
	}
	return &good[0], nil
}
