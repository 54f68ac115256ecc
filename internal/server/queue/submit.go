package queue

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// Limits of a submission. Values of parameters have at most 128 KiB, and may be six times as long as text
// in JSON.
const (
	MaxSubmission = 2 << 20 // bytes of the body
	mostValues    = 20_000
	bodyTime      = time.Minute
	bodyPause     = 20 * time.Second
)

// DocSubmit describes PutRun.
var DocSubmit = route.Doc{
	Text: "Asks for a run of a job that has a definition, or of a command, which needs the scope author. The id of the run is made by " +
		"the client: a new UUID, or with a key the UUID of version 5 for job and key. The same request again is answered with the run as it is " +
		"now (200), another request with the same id with 409, and a full queue with 429. With again, the request has what that run was given where it " +
		"says nothing else; defaults are resolved anew.",
	Request: "application/json", Body: job.SubmitRequest{},
	Answers: []route.Content{route.JSON(job.Run{})},
	Errors:  []int{400, 404, 409, 413, 429},
}

// PutRun takes a submission.
func (s *Routes) PutRun(w http.ResponseWriter, r *http.Request) {
	out, status, err := s.submit(w, r)
	if err != nil {
		s.Fail(w, r, asProblem(err))
		return
	}
	httpio.WriteJSON(w, "application/json", status, out)
}

func (s *Routes) submit(w http.ResponseWriter, r *http.Request) (out job.Run, status int, err error) {
	var in job.SubmitRequest
	id := strings.ToLower(r.PathValue("run"))
	if err = httpio.NewParams(r).Err; err == nil {
		err = job.CheckRunID(id)
	}
	if err == nil {
		r.Body = http.MaxBytesReader(w, httpio.NewPacedReader(w, r, bodyPause, bodyTime), MaxSubmission)
		err = httpio.ReadManyJSON(r, "a submission", true, mostValues, &in)
	}
	if err == nil {
		err = checkKey(id, in)
	}
	if err != nil {
		return out, 0, err
	}
	ctx := r.Context()
	by := caller(ctx, in.By)
	in.By = ""
	again := in.Again
	if in, err = s.completed(ctx, in); err != nil {
		return out, 0, err
	}
	out, created, err := s.Submissions.Submit(ctx, id, in, by, access.CallerOf(ctx).Scope.Allows(access.Author))
	if err != nil {
		return out, 0, err
	}
	access.SetDetail(ctx, detail(out, in, again))
	if !created {
		return out, http.StatusOK, nil
	}
	s.Notify(id)
	return out, http.StatusCreated, nil
}

// checkKey refuses a key that does not belong to the id of the run: the id makes the key unique.
func checkKey(id string, r job.SubmitRequest) error {
	if r.Key == "" || id == job.RunIDForKey(r.Job, r.Key) {
		return nil
	}
	return httpio.NewProblem(http.StatusBadRequest, "the run id %s does not belong to the job %s and the key %s, whose run is %s: submit that one",
		id, job.Quote(r.Job), job.Quote(r.Key), job.RunIDForKey(r.Job, r.Key))
}

// detail says for the audit log what was submitted: without values of parameters and variables, which may
// be secret.
func detail(out job.Run, in job.SubmitRequest, again string) string {
	text := "job " + in.Job
	if in.Command != nil {
		text = "command of " + text
	}
	if out.Submitted != nil && out.Submitted.Definition != "" {
		text += ", version " + out.Submitted.Definition
	}
	if again != "" {
		text += ", run " + again + " again"
	}
	return text
}

// completed returns a request with what the run was given that is to run again.
func (s *Routes) completed(ctx context.Context, in job.SubmitRequest) (job.SubmitRequest, error) {
	if in.Again == "" {
		return in, nil
	}
	id, err := s.RunID(ctx, in.Again)
	if err != nil {
		return in, err
	}
	of, err := s.Runs.Run(ctx, id)
	if err != nil {
		return in, err
	}
	var spec job.Spec
	var says queue.Defined
	if of.Submitted != nil {
		if spec, err = s.Submissions.SubmittedSpec(ctx, id); err != nil {
			return in, err
		}
		if says, err = s.defined(ctx, of.Job, of.Submitted.Definition); err != nil {
			return in, err
		}
	}
	return queue.Again(in, of, spec, says)
}

// defined returns what a version of a definition says; nothing for one that is not there, as of a command.
func (s *Routes) defined(ctx context.Context, name, version string) (says queue.Defined, err error) {
	v, err := s.Submissions.DefinitionVersion(ctx, name, version)
	var gone *query.NotFoundError
	if errors.As(err, &gone) {
		return says, nil
	}
	if err != nil {
		return says, err
	}
	d, err := definition.FromCanonical(v.Canonical)
	return queue.Defined{Priority: d.Priority, Requires: d.Requires}, err
}

type listIn struct {
	Job    string `query:"job" maxLength:"600" doc:"Only runs of this job."`
	Group  string `query:"group" maxLength:"600" doc:"Only runs of this group."`
	Held   bool   `query:"held" doc:"Only runs that wait for a person to release them."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most runs to return."`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before."`
}

// ListQueue answers a page of the queue, those first that have waited longest, with what each waits for.
func (s *Routes) ListQueue(ctx context.Context, in *listIn) (*route.Response[job.QueuePage], error) {
	page, err := s.Queue.ListQueue(ctx, query.Queue{Job: in.Job, Group: in.Group, Held: in.Held, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, s.ProblemOf(ctx, "list the queue", err)
	}
	if page.Runs == nil {
		page.Runs = []job.QueuedRun{}
	}
	return route.OK(page)
}

type releaseIn struct {
	Body *struct {
		_   struct{} `additionalProperties:"false"`
		Job string   `json:"job,omitempty" maxLength:"600" doc:"Only runs of this job; without it, all."`
		By  string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	}
}

// ReleaseQueue lets held runs start.
func (s *Routes) ReleaseQueue(ctx context.Context, in *releaseIn) (*route.Response[job.QueueReleaseReply], error) {
	name := ""
	if in.Body != nil {
		name = in.Body.Job
	}
	if name != "" {
		if err := job.CheckName(name); err != nil {
			return nil, s.ProblemOf(ctx, "release held runs", err)
		}
	}
	n, err := s.Queue.ReleaseHeld(ctx, name)
	if err != nil {
		return nil, s.ProblemOf(ctx, "release held runs", err)
	}
	access.SetDetail(ctx, "released: "+strconv.FormatInt(n, 10))
	return route.OK(job.QueueReleaseReply{Released: n})
}

type priorityIn struct {
	Run  string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Body struct {
		_        struct{}     `additionalProperties:"false"`
		Priority job.Priority `json:"priority" enum:"low,normal,high"`
	}
}

// SetPriority gives a queued run another priority: it is ranked anew, as if it was submitted now.
func (s *Routes) SetPriority(ctx context.Context, in *priorityIn) (*route.Response[job.Run], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Queue.SetPriority(ctx, id, in.Body.Priority)
	if err != nil {
		return nil, s.ProblemOf(ctx, "set the priority of run "+id, asProblem(err))
	}
	access.SetDetail(ctx, "priority "+string(in.Body.Priority))
	s.Notify(id)
	return route.OK(run)
}
