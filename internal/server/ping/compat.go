package ping

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// compatStatus is the body of a status call.
type compatStatus struct {
	Status string `json:"status" enum:"started,completed,failed"`
}

// compatReply has the run to which a call belongs.
type compatReply struct {
	Run string `json:"run"`
}

// PutCompatStatus handles the calls started, completed and failed.
func (s *Ping) PutCompatStatus(w http.ResponseWriter, r *http.Request) {
	name, err := compatJob(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	var body compatStatus
	if err := httpio.ReadJSON(r, `a status such as {"status":"started"}`, false, &body); err != nil {
		s.Fail(w, r, err)
		return
	}
	c := call(body.Status)
	if c != callStarted && c != callCompleted && c != callFailed {
		s.Fail(w, r, httpio.NewProblem(http.StatusBadRequest,
			"the status %s is not known: send started, completed or failed", job.Quote(body.Status)))
		return
	}
	s.handleCompat(w, r, name, c)
}

// PutCompatHeartbeat handles the call heartbeat. It ignores the body.
func (s *Ping) PutCompatHeartbeat(w http.ResponseWriter, r *http.Request) {
	name, err := compatJob(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.handleCompat(w, r, name, callHeartbeat)
}

// compatJob returns {job} of the path.
func compatJob(r *http.Request) (string, error) {
	if err := httpio.NewParams(r).Err; err != nil {
		return "", err
	}
	name := r.PathValue("job")
	return name, job.CheckName(name)
}

// handleCompat handles a call. It holds the lock of the job, because two calls at the same time, also on different
// servers, would both read the state before them.
func (s *Ping) handleCompat(w http.ResponseWriter, r *http.Request, name string, c call) {
	var id string
	unlock, err := s.Store.LockJob(r.Context(), name)
	if err == nil {
		defer unlock()
		id, err = s.applyCompat(r.Context(), name, access.ClientText(r), c)
	}
	if err != nil {
		s.Fail(w, r, fmt.Errorf("%s of job %s through the compat API: %w", c, job.Quote(name), err))
		return
	}
	httpio.OK(w, compatReply{id})
}

// applyCompat reads the last run of the job, plans what follows from the call, and writes it. It returns the id
// of the run to which the call belongs.
func (s *Ping) applyCompat(ctx context.Context, name, host string, c call) (string, error) {
	now, wire := s.Now(), index.Wire{Name: wireCompat}
	last, err := s.Store.WireRun(ctx, name, wire)
	if err != nil {
		return "", err
	}
	plan := planCompat(c, last, now)
	if last.ID != "" && (!last.State.Terminal() || plan.changesLast()) {
		if err := s.Claim(ctx, last.ID); err != nil {
			return "", err
		}
	}
	if plan.endPrevious {
		if err := s.endRun(ctx, last.ID, now, previousOutcome(name), nil); err != nil {
			return "", err
		}
	}
	id := last.ID
	if plan.begin {
		if id, err = s.beginCompat(ctx, name, host, wire, c, now); err != nil {
			return "", err
		}
	}
	if plan.end != nil {
		return id, s.endRun(ctx, id, now, *plan.end, nil)
	}
	if plan.lease > 0 {
		return id, s.beat(ctx, id, now, plan.lease, plan.lease/periodsPerLease)
	}
	return id, nil
}

// beginCompat begins a new run, and returns its id.
func (s *Ping) beginCompat(ctx context.Context, name, host string, wire index.Wire, c call, now time.Time) (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make run id: %w", err)
	}
	if err := s.Claim(ctx, id.String()); err != nil { // before the run exists, as for an agent
		return "", err
	}
	w, err := s.begin(beginning{
		run: id.String(), job: name, host: host, wire: wire, version: compatVersion, with: c, period: startedTimeout / periodsPerLease,
	}, now)
	if err != nil {
		return "", err
	}
	return id.String(), w.flush(ctx)
}
