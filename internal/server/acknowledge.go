package server

import (
	"context"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// acknowledgeRun records that somebody knows what is wrong with a run.
func (s *Server) acknowledgeRun(ctx context.Context, in *wishIn) (*route.Answer[job.Run], error) {
	id, err := s.findRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	by, why := in.who(ctx)
	run, _, err := s.store.Acknowledge(ctx, id, by, why, s.now().UTC())
	if err != nil {
		return nil, s.internal(ctx, "acknowledge run "+id, err)
	}
	s.broker.Notify(id)
	return route.OK(run)
}

type unacknowledgeIn struct {
	Run string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	By  string `query:"by" maxLength:"200" doc:"Name to record if the request has no login."`
}

// unacknowledgeRun takes an acknowledgement back; without one nothing changes.
func (s *Server) unacknowledgeRun(ctx context.Context, in *unacknowledgeIn) (*route.Answer[job.Run], error) {
	id, err := s.findRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	by := callerName(ctx, in.By)
	run, _, err := s.store.Unacknowledge(ctx, id, by, s.now().UTC())
	if err != nil {
		return nil, s.internal(ctx, "take back the acknowledgement of run "+id, err)
	}
	s.broker.Notify(id)
	return route.OK(run)
}

// callerName is the person that the token or session names; where neither does, the name that the
// request gives, or somebody.
func callerName(ctx context.Context, given string) string {
	if who := access.CallerOf(ctx); who.Name != "" {
		return who.Name
	}
	if given = httpio.Printable(given); given != "" {
		return given
	}
	return "somebody"
}
