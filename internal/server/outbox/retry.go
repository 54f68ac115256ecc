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
	Run  string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Body *struct {
		_   struct{} `additionalProperties:"false"`
		By  string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
		Why string   `json:"why,omitempty" maxLength:"1000" doc:"The reason."`
	}
}

// requester returns the name of the person that sent a request, and the reason. The name of a login replaces
// that of the body.
func (in *actionRequest) requester(ctx context.Context) (by, why string) {
	if in.Body == nil {
		return callerName(ctx, ""), ""
	}
	return callerName(ctx, in.Body.By), httpio.Printable(in.Body.Why)
}

// RetryRun records that the agent of a run that has ended is to begin another attempt, or adds another attempt of
// a submitted run to the queue. The first needs an agent that waits for it (stint run --retry-wait); for other runs the response is 409 with the command that starts
// the job again.
func (s *Outbox) RetryRun(ctx context.Context, in *actionRequest) (*route.Response[job.Run], error) {
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
			detail += "; start the job again on " + hostText(no.Run.Host) + " with: " + restartCommand(&no.Run) +
				" (that is another run; give it the limits, retries, caches and variables that this one had: the server does not know them)"
		}
		return nil, httpio.NewProblem(http.StatusConflict, "%s", detail)
	}
	if err != nil {
		return nil, s.ProblemOf(ctx, "retry run "+id, err)
	}
	s.Changed(events)
	s.Notify(id)
	run.SetDerived()
	return route.OK(run)
}

// retryOffer has whether a run can be retried, and how to start its job again.
type retryOffer struct {
	Run     string `json:"run"`
	Waits   bool   `json:"waits" doc:"The agent of the run waits for a retry now, or the run was submitted, and the queue starts another attempt."`
	Host    string `json:"host"`
	Command string `json:"command" doc:"The command that starts the job again on its host. It lacks what the server does not know, such as the environment and limits."`
}

// GetRetry responds with whether RetryRun would begin another attempt.
func (s *Outbox) GetRetry(ctx context.Context, in *route.RunPath) (*route.Response[retryOffer], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, until, err := s.Store.AgentWaits(ctx, id)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read until when the agent of run "+id+" waits", err)
	}
	waits := run.State.Terminal() && run.State != job.Succeeded && (until.After(s.Now()) || run.Submitted != nil)
	return route.OK(retryOffer{Run: id, Waits: waits, Host: run.Host, Command: restartCommand(&run)})
}

// hostText returns the name of a host for a message.
func hostText(name string) string {
	if name == "" {
		return "its host"
	}
	return httpio.Printable(name)
}

// restartCommand returns the command line that starts the job of a run as a new run. It lacks what the
// server does not know, such as the environment and limits.
func restartCommand(run *job.Run) string {
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
