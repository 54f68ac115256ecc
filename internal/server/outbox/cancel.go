package outbox

import (
	"context"
	"strings"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type cancelIn struct {
	Run  string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Body *cancelBody
}

type cancelBody struct {
	_   struct{} `additionalProperties:"false"`
	By  string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	Why string   `json:"why,omitempty" maxLength:"1000" doc:"The reason."`
}

// CancelRun records that a run is to stop. Its agent gets the command with its next heartbeat. It changes
// nothing for a run that has ended.
func (s *Outbox) CancelRun(ctx context.Context, in *cancelIn) (*route.Response[job.Run], error) {
	run, _, err := s.requestCancel(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.Body != nil {
		access.SetDetail(ctx, httpio.Printable(in.Body.Why))
	}
	run.SetDerived()
	return route.OK(run)
}

// requestCancel records that a run is to stop. stops reports whether it stops because of this or an earlier
// request: a run that waits for a retry ends at once, and a lost run stops if its agent returns.
func (s *Outbox) requestCancel(ctx context.Context, in *cancelIn) (run job.Run, stops bool, err error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return run, false, err
	}
	c := job.Cancel{By: "somebody", At: s.Now().UTC()}
	if in.Body != nil {
		c.Why = httpio.Printable(in.Body.Why)
		if by := httpio.Printable(in.Body.By); by != "" {
			c.By = by
		}
	}
	if who := access.CallerOf(ctx); who.Name != "" { // the name of a login replaces that of the body
		c.By = who.Name
	}
	run, events, err := s.Store.RequestCancel(ctx, id, c)
	if err != nil {
		return run, false, s.ProblemOf(ctx, "cancel run "+id, err)
	}
	s.Changed(events)
	s.Notify(id)
	return run, len(events) > 0 || !run.State.Terminal() || run.State == job.Lost && run.Cancel != nil, nil
}

type cancelManyIn struct {
	Body struct {
		_      struct{} `additionalProperties:"false"`
		Runs   []string `json:"runs" minItems:"1" maxItems:"1000" nullable:"false" doc:"Runs, each named as in a path."`
		Reason string   `json:"reason,omitempty" maxLength:"1000" doc:"The reason."`
		By     string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	}
}

// canceledRun is the result for one of several runs.
type canceledRun struct {
	Run      string `json:"run" doc:"The run as in the request."`
	Canceled bool   `json:"canceled,omitempty"`
	Error    string `json:"error,omitempty"`
}

type canceledRuns struct {
	Results []canceledRun `json:"results" nullable:"false"`
}

// CancelRuns records that several runs are to stop. An error of one does not affect the others.
func (s *Outbox) CancelRuns(ctx context.Context, in *cancelManyIn) (*route.Response[canceledRuns], error) {
	out := canceledRuns{Results: make([]canceledRun, 0, len(in.Body.Runs))}
	for _, ref := range in.Body.Runs {
		if ctx.Err() != nil {
			return nil, s.ProblemOf(ctx, "cancel runs", ctx.Err())
		}
		one := cancelIn{Run: ref}
		one.Body = &cancelBody{By: in.Body.By, Why: in.Body.Reason}
		res := canceledRun{Run: ref, Canceled: true}
		switch run, stops, err := s.requestCancel(ctx, &one); {
		case err != nil:
			res.Canceled, res.Error = false, httpio.AsProblem(err).Detail
		case !stops:
			res.Canceled, res.Error = false, "the run "+job.Quote(ref)+" has already ended: "+string(run.State)
		}
		out.Results = append(out.Results, res)
	}
	access.SetDetail(ctx, "runs "+httpio.Printable(strings.Join(in.Body.Runs, ", ")))
	return route.OK(out)
}
