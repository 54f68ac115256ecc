package outbox

import (
	"context"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// AcknowledgeRun acknowledges the failure or finding of a run.
func (s *Outbox) AcknowledgeRun(ctx context.Context, in *actionRequest) (*route.Response[job.Run], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	by, why := in.requester(ctx)
	run, _, err := s.Store.Acknowledge(ctx, id, by, why, s.Now().UTC())
	if err != nil {
		return nil, s.ProblemOf(ctx, "acknowledge run "+id, err)
	}
	s.Notify(id)
	run.SetDerived()
	return route.OK(run)
}

type unacknowledgeIn struct {
	Run string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	By  string `query:"by" maxLength:"200" doc:"Name to record if the request has no login."`
}

// UnacknowledgeRun removes the acknowledgement of a run, if it has one.
func (s *Outbox) UnacknowledgeRun(ctx context.Context, in *unacknowledgeIn) (*route.Response[job.Run], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	by := callerName(ctx, in.By)
	run, _, err := s.Store.Unacknowledge(ctx, id, by, s.Now().UTC())
	if err != nil {
		return nil, s.ProblemOf(ctx, "remove the acknowledgement of run "+id, err)
	}
	s.Notify(id)
	run.SetDerived()
	return route.OK(run)
}

// callerName returns the name of the token or session; without one, the name that the request gives, or
// "somebody".
func callerName(ctx context.Context, given string) string {
	if who := access.CallerOf(ctx); who.Name != "" {
		return who.Name
	}
	if given = httpio.Printable(given); given != "" {
		return given
	}
	return "somebody"
}
