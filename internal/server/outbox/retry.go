package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type actionRequest struct {
	Run  string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	Body *struct {
		_   struct{} `additionalProperties:"false"`
		By  string   `json:"by,omitempty" maxLength:"200" doc:"Who asks."`
		Why string   `json:"why,omitempty" maxLength:"1000" doc:"In their words."`
	}
}

// requester reads by whom a request is made, and why. A person that the token or session names is not for the
// body to say.
func (in *actionRequest) requester(ctx context.Context) (by, why string) {
	if in.Body == nil {
		return callerName(ctx, ""), ""
	}
	return callerName(ctx, in.Body.By), httpio.Printable(in.Body.Why)
}

// RetryRun asks the agent of a run that has ended for another attempt. Only an agent that
// waits for that can begin one in place (stint run --retry-wait); for every other run the
// answer is 409 with the command that starts the job again by hand.
func (s *Outbox) RetryRun(ctx context.Context, in *actionRequest) (*route.Answer[job.Run], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	by, why := in.requester(ctx)
	run, events, err := s.Store.RequestRetry(ctx, id, 0, by, why, s.Now().UTC())
	var no *outbox.NoRetryError
	if errors.As(err, &no) {
		detail := no.Why
		if no.Run.State.Terminal() {
			detail += "; start the job again on " + host(no.Run.Host) + " with: " + againCommand(&no.Run)
		}
		return nil, httpio.NewProblem(http.StatusConflict, "%s", detail)
	}
	if err != nil {
		return nil, s.Internal(ctx, "retry run "+id, err)
	}
	s.Changed(events)
	s.Notify(id)
	return route.OK(run)
}

// retryOffer says whether a run can be tried again in place, and how to start its job anew.
type retryOffer struct {
	Run     string `json:"run"`
	Waits   bool   `json:"waits" doc:"The agent of the run waits for a retry now."`
	Host    string `json:"host"`
	Command string `json:"command" doc:"Starts the job again, on its host. What the server does not know of (the environment, limits) is not in it."`
}

// GetRetry answers what postRetry would do.
func (s *Outbox) GetRetry(ctx context.Context, in *route.RunPath) (*route.Answer[retryOffer], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, until, err := s.Store.AgentWaits(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "until when the agent of run "+id+" waits", err)
	}
	waits := run.State.Terminal() && run.State != job.Succeeded && until.After(s.Now())
	return route.OK(retryOffer{Run: id, Waits: waits, Host: run.Host, Command: againCommand(&run)})
}

func host(name string) string {
	if name == "" {
		return "its host"
	}
	return httpio.Printable(name)
}

// againCommand is the command line that starts the job of a run as a new run. What the
// server does not know of (the environment, limits) is not in it.
func againCommand(run *job.Run) string {
	words := []string{"stint", "run", "--job", run.Job}
	if run.Dir != "" {
		words = append(words, "--dir", run.Dir)
	}
	for _, k := range slices.Sorted(maps.Keys(run.Labels)) {
		words = append(words, "--label", k+"="+run.Labels[k])
	}
	for _, s := range run.Steps {
		if s.Kind == job.InstallStep {
			words = append(words, "--install", s.Command)
		}
	}
	words = append(words, "--")
	words = append(words, run.Args...)
	line := httpio.Printable(job.CommandLine(words))
	if len(line) > 4000 {
		line = strings.ToValidUTF8(line[:4000], "") + fmt.Sprintf("… (%d bytes more)", len(line)-4000)
	}
	return line
}
