// Package queue takes submissions, shows and changes the queue and groups, and gives runs to workers.
package queue

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// SubmitStore takes submissions. Its methods and those of the other parts of the database below return
// *query.NotFoundError for a run, job, group or worker that is not there.
type SubmitStore interface {
	// Submit puts a run into the queue. The same request again returns the run as it is now, with created
	// false; another one with the same id is a *queue.ConflictError. author reports whether by may submit
	// commands.
	Submit(ctx context.Context, run string, r job.SubmitRequest, by string, author bool) (out job.Run, created bool, err error)
	// SubmittedSpec returns what a submitted run starts.
	SubmittedSpec(ctx context.Context, run string) (job.Spec, error)
	// DefinitionVersion returns a version of the definition of a job.
	DefinitionVersion(ctx context.Context, job, version string) (definition.Version, error)
}

// QueueStore shows and changes the queue.
type QueueStore interface {
	// ListQueue returns a page of the queue, those first that have waited longest.
	ListQueue(ctx context.Context, q query.Queue) (job.QueuePage, error)
	// ReleaseHeld lets the held runs of a job go on, or all if it is empty, and returns how many there were.
	ReleaseHeld(ctx context.Context, job string) (int64, error)
	// SetPriority ranks a queued run anew.
	SetPriority(ctx context.Context, run string, p job.Priority) (job.Run, error)
}

// GroupStore keeps the limits of groups.
type GroupStore interface {
	Groups(ctx context.Context) ([]job.Group, error)
	SetGroup(ctx context.Context, name string, limit int, by string) (job.Group, error)
	DeleteGroup(ctx context.Context, name string) error
}

// WorkerStore keeps workers and their claims.
type WorkerStore interface {
	// Claim answers one request of a worker for runs, and does not wait for any.
	Claim(ctx context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error)
	// ReleaseClaim ends a claim of a worker. It returns its run and the changes of it; a zero run if it had ended.
	ReleaseClaim(ctx context.Context, worker, claim, reason string) (job.Run, []job.RunEvent, error)
	// RunsReady returns a channel that is closed when a run becomes ready after the call.
	RunsReady() <-chan struct{}
	// AnyReady reports whether a run is ready for any worker.
	AnyReady(ctx context.Context) (bool, error)
	ListWorkers(ctx context.Context) ([]job.WorkerInfo, error)
	// DrainWorker gives a worker no more runs, and takes its claims back.
	DrainWorker(ctx context.Context, name string, d job.Drain) error
	ResumeWorker(ctx context.Context, name string) error
}

// Config configures Routes.
type Config struct {
	httpio.Finder
	Submissions SubmitStore
	Queue       QueueStore
	Groups      GroupStore
	Workers     WorkerStore
	Now         func() time.Time
	// Stopping is closed when the server begins to shut down.
	Stopping <-chan struct{}
	// Notify wakes the live streams of a run.
	Notify func(run string)
	// Polled is called for each request for runs; local reports whether it came from the server's own machine.
	Polled func(local bool)
	// Changed is called with the changes of runs that were committed.
	Changed func([]job.RunEvent)
}

// fullPause is when to submit again after the queue was full.
const fullPause = 30 * time.Second

// mostPolls is how many requests for runs may be held open at once.
const mostPolls = 8192

// Routes answers the calls.
type Routes struct {
	Config
	polls *Polls
	open  *shares.Shares // places for requests that are held open
}

// New returns Routes.
func New(cfg Config) *Routes {
	return &Routes{Config: cfg, polls: &Polls{}, open: shares.New(shares.Limits{All: mostPolls, Token: mostPolls / 4, Address: mostPolls / 4}, time.Now)}
}

// Run wakes the requests for runs that are held open whenever a run becomes ready, until ctx ends.
func (s *Routes) Run(ctx context.Context) {
	for ready := s.Workers.RunsReady(); ; {
		select {
		case <-ready:
			ready = s.Workers.RunsReady() // before they look, so that nothing is missed
			s.polls.Wake()
		case <-ctx.Done():
			return
		}
	}
}

// caller returns the name of the sender of a request; given is for one that nobody logged in for.
func caller(ctx context.Context, given string) string {
	if who := access.CallerOf(ctx); who.Name != "" {
		return who.Name
	}
	if given = httpio.Printable(given); given != "" {
		return given
	}
	return "somebody"
}

// asProblem turns what the store refuses into a problem.
func asProblem(err error) error {
	var conflict *queue.ConflictError
	var author *queue.AuthorError
	var full *queue.FullError
	var name *queue.NameTakenError
	var values *definition.ValuesError
	switch {
	case errors.As(err, &full):
		return httpio.Busy(http.StatusTooManyRequests, fullPause, "%s", full)
	case errors.As(err, &values):
		return valuesProblem(values)
	case errors.As(err, &conflict):
		return httpio.NewProblem(http.StatusConflict, "%s", conflict)
	case errors.As(err, &name):
		return httpio.NewProblem(http.StatusConflict, "%s", name)
	case errors.As(err, &author):
		return httpio.NewProblem(http.StatusForbidden, "%s", author)
	}
	return err
}

// valuesProblem lists what is wrong with values, so that a form can show each mistake at its field.
func valuesProblem(err *definition.ValuesError) *httpio.Problem {
	p := httpio.NewProblem(http.StatusBadRequest, "%s", err)
	for _, one := range err.All {
		p.Parameters = append(p.Parameters, job.ParameterMistake{Name: one.Parameter, Detail: one.Why})
	}
	return p
}
