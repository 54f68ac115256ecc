package queue

import (
	"context"
	"net/http"
	"slices"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type workerPath struct {
	Worker string `path:"worker" maxLength:"600" doc:"The worker's name."`
}

type workerList struct {
	Workers []job.WorkerInfo `json:"workers" nullable:"false"`
}

// ListWorkers answers all workers in the order of names.
func (s *Routes) ListWorkers(ctx context.Context, _ *struct{}) (*route.Response[workerList], error) {
	all, err := s.Workers.ListWorkers(ctx)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list workers", err)
	}
	if all == nil {
		all = []job.WorkerInfo{}
	}
	return route.OK(workerList{all})
}

type drainIn struct {
	Worker string `path:"worker" maxLength:"600" doc:"The worker's name."`
	Body   *drainBody
}

type drainBody struct {
	_          struct{} `additionalProperties:"false"`
	Reason     string   `json:"reason,omitempty" maxLength:"1000" doc:"The reason, which worker and server show."`
	By         string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	DeadlineMS int64    `json:"deadline_ms,omitempty" minimum:"0" maximum:"31536000000" doc:"After how long its agents are asked to stop their jobs; 0 for never."`
}

// DrainWorker gives a worker no more runs until it is resumed. Its claims without a permit go back into the
// queue; its attempts go on, until the deadline if there is one.
func (s *Routes) DrainWorker(ctx context.Context, in *drainIn) (*route.Response[job.WorkerInfo], error) {
	d := job.Drain{By: caller(ctx, ""), At: s.Now().UTC()}
	if b := in.Body; b != nil {
		d.By, d.Reason = caller(ctx, b.By), httpio.Printable(b.Reason)
		if b.DeadlineMS > 0 {
			at := d.At.Add(time.Duration(b.DeadlineMS) * time.Millisecond)
			d.StopBy = &at
		}
	}
	if err := s.Workers.DrainWorker(ctx, in.Worker, d); err != nil {
		return nil, s.ProblemOf(ctx, "drain worker "+job.Quote(in.Worker), err)
	}
	access.SetDetail(ctx, d.Reason)
	s.polls.WakeAll() // the worker's own request is answered with the drain, others take what it had
	return s.worker(ctx, in.Worker)
}

// worker shows a worker.
func (s *Routes) worker(ctx context.Context, name string) (*route.Response[job.WorkerInfo], error) {
	all, err := s.Workers.ListWorkers(ctx)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read worker "+job.Quote(name), err)
	}
	i := slices.IndexFunc(all, func(w job.WorkerInfo) bool { return w.Name == name })
	if i < 0 {
		return nil, httpio.NewProblem(http.StatusNotFound, "worker %s was not found", job.Quote(name))
	}
	return route.OK(all[i])
}

// ResumeWorker ends the drain of a worker.
func (s *Routes) ResumeWorker(ctx context.Context, in *workerPath) (*route.Response[job.WorkerInfo], error) {
	if err := s.Workers.ResumeWorker(ctx, in.Worker); err != nil {
		return nil, s.ProblemOf(ctx, "resume worker "+job.Quote(in.Worker), err)
	}
	s.polls.WakeAll()
	return s.worker(ctx, in.Worker)
}

type releaseClaimIn struct {
	Worker string `path:"worker" maxLength:"600" doc:"The worker's name."`
	Claim  string `path:"claim" maxLength:"100" doc:"The claim's id."`
	Body   struct {
		_      struct{} `additionalProperties:"false"`
		Reason string   `json:"reason" maxLength:"4000" doc:"Why the worker does not start the run."`
	}
}

// ReleaseClaim gives a claim back: the run waits again at its old place. A claim that has ended meanwhile is
// no error.
func (s *Routes) ReleaseClaim(ctx context.Context, in *releaseClaimIn) (*struct{}, error) {
	if err := mayBe(access.CallerOf(ctx), in.Worker, nil); err != nil {
		return nil, err
	}
	run, events, err := s.Workers.ReleaseClaim(ctx, in.Worker, in.Claim, httpio.Printable(in.Body.Reason))
	if err != nil {
		return nil, s.ProblemOf(ctx, "release a claim of worker "+job.Quote(in.Worker), err)
	}
	if run.ID != "" {
		s.Changed(events)
		s.Notify(run.ID)
	}
	s.polls.Wake()
	return nil, nil //nolint:nilnil // huma responds with 204
}
