package health

import (
	"context"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type changesIn struct {
	Run  string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	With string `query:"with" maxLength:"900" doc:"The run to compare with, named in the same ways; without it, the last good run of the job before this one."`
}

// ListChanges compares a run with the last good one before it, or with any other.
func (s *Routes) ListChanges(ctx context.Context, in *changesIn) (*route.Answer[job.Changes], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "read run "+id, err)
	}
	out := job.Changes{Changes: []job.Change{}}
	before, err := s.compareWith(ctx, run, in.With)
	if err != nil {
		return nil, err
	}
	if before == nil {
		return route.OK(out)
	}
	out.Since = &job.ChangesSince{ID: before.ID, Number: before.Number, EndedAt: before.EndedAt}
	if out.Changes, err = health.Compare(ctx, s.Store, *before, run); err != nil {
		return nil, s.Internal(ctx, "compare run "+id+" with run "+before.ID, err)
	}
	return route.OK(out)
}

// GetNeighbors answers between which runs of its job a run started, which lists show below and above
// it.
func (s *Routes) GetNeighbors(ctx context.Context, in *route.RunPath) (*route.Answer[job.Neighbors], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "read run "+id, err)
	}
	out, err := s.Store.Neighbors(ctx, run)
	if err != nil {
		return nil, s.Internal(ctx, "read the runs beside run "+id, err)
	}
	return route.OK(out)
}

// compareWith is the run to compare with; nil when there is none.
func (s *Routes) compareWith(ctx context.Context, run job.Run, with string) (*job.Run, error) {
	if with != "" {
		id, err := s.FindRun(ctx, with)
		if err != nil {
			return nil, err
		}
		other, err := s.Store.Run(ctx, id)
		if err != nil {
			return nil, s.Internal(ctx, "read run "+id, err)
		}
		return &other, nil
	}
	good, err := s.Store.GoodRunsBefore(ctx, run, 1)
	if err != nil {
		return nil, s.Internal(ctx, "find the last good run of job "+run.Job, err)
	}
	if len(good) == 0 {
		return nil, nil
	}
	return &good[0], nil
}
