package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// A call of this API does not name a run. The server finds the run in the store for each call, so that a
// restart changes nothing, and writes the journal of the run itself, so that the run is like any other.

// Store finds the run to which a call belongs.
type Store interface {
	Runs(ctx context.Context, q query.Runs) (query.RunPage, error)
	// LockJob takes the lock of a job's name, which all servers on the database share. unlock releases it.
	LockJob(ctx context.Context, name string) (unlock func(), err error)
}

// Intake makes appends and heartbeats durable.
type Intake interface {
	Append(ctx context.Context, a index.Append) (index.Appended, error)
	Beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error)
}

// Ping handles the calls.
type Ping struct {
	httpio.ErrorWriter
	Store  Store
	Now    func() time.Time
	Intake Intake
	// Claim returns an error unless the caller of a request may write to a run.
	Claim func(ctx context.Context, run string) error
	// ReadJournal returns a reader of the stored journal of an attempt.
	ReadJournal func(ctx context.Context, run string, attempt int) io.Reader
}

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
	call := compatCall(body.Status)
	if call != callStarted && call != callCompleted && call != callFailed {
		s.Fail(w, r, httpio.NewProblem(http.StatusBadRequest,
			"the status %s is not known: send started, completed or failed", job.Quote(body.Status)))
		return
	}
	s.handle(w, r, name, call)
}

// PutCompatHeartbeat handles the call heartbeat. It ignores the body.
func (s *Ping) PutCompatHeartbeat(w http.ResponseWriter, r *http.Request) {
	name, err := compatJob(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.handle(w, r, name, callHeartbeat)
}

// compatJob returns {job} of the path.
func compatJob(r *http.Request) (string, error) {
	if err := httpio.NewParams(r).Err; err != nil {
		return "", err
	}
	name := r.PathValue("job")
	return name, job.CheckName(name)
}

// handle handles a call. It holds the lock of the job, because two calls at the same time, also on different
// servers, would both read the state before them.
func (s *Ping) handle(w http.ResponseWriter, r *http.Request, name string, call compatCall) {
	var id string
	unlock, err := s.Store.LockJob(r.Context(), name)
	if err == nil {
		defer unlock()
		id, err = s.apply(r.Context(), name, httpio.RemoteHost(r), call)
	}
	if err != nil {
		s.Fail(w, r, fmt.Errorf("%s of job %s through the compat API: %w", call, job.Quote(name), err))
		return
	}
	httpio.OK(w, compatReply{id})
}

// apply reads the last run of the job, plans what follows from the call, and writes it. It returns the id
// of the run to which the call belongs.
func (s *Ping) apply(ctx context.Context, name, host string, call compatCall) (string, error) {
	now := s.Now()
	last, err := s.lastCompat(ctx, name)
	if err != nil {
		return "", err
	}
	plan := planCompat(call, last, now)
	if last.ID != "" && (!last.State.Terminal() || plan.changesLast()) {
		if err := s.Claim(ctx, last.ID); err != nil {
			return "", err
		}
	}
	if plan.endPrevious {
		if err := s.endCompat(ctx, last.ID, now, previousOutcome(name)); err != nil {
			return "", err
		}
	}
	id := last.ID
	if plan.begin {
		made, err := uuid.NewV7()
		if err != nil {
			return "", fmt.Errorf("make run id: %w", err)
		}
		id = made.String()
		if err := s.Claim(ctx, id); err != nil { // before the run exists, as for an agent
			return "", err
		}
		if err := s.beginCompat(ctx, id, name, host, call, now); err != nil {
			return "", err
		}
	}
	if plan.end != nil {
		return id, s.endCompat(ctx, id, now, *plan.end)
	}
	if plan.lease > 0 {
		return id, s.beatCompat(ctx, id, now, plan.lease)
	}
	return id, nil
}

// lastCompat returns the newest run of a job that was created by this API; one without id if there is none.
func (s *Ping) lastCompat(ctx context.Context, name string) (job.Run, error) {
	page, err := s.Store.Runs(ctx, query.Runs{Job: name, Labels: map[string]string{wireLabel: wireCompat}, Limit: 20})
	if err != nil {
		return job.Run{}, fmt.Errorf("find the last run: %w", err)
	}
	for _, run := range page.Runs {
		// An agent may set the label too, but its runs do not belong to this API.
		if run.AgentVersion == compatVersion {
			return run, nil
		}
	}
	return job.Run{}, nil
}

// beginCompat writes the beginning of a new run's journal.
func (s *Ping) beginCompat(ctx context.Context, id, name, host string, call compatCall, now time.Time) error {
	var j buffer
	w, err := journal.NewWriter(&j)
	if err != nil {
		return err
	}
	err = errors.Join(
		w.AppendJSON(journal.TypeAttempt, now, journal.Attempt{
			Run: id, Attempt: 1, Job: name, Host: host, AgentVersion: compatVersion,
			Labels:            map[string]string{wireLabel: wireCompat, beganLabel: string(call)},
			HeartbeatPeriodMS: (startedTimeout / periodsPerLease).Milliseconds(),
		}),
		w.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep}),
	)
	if err != nil {
		return err
	}
	_, err = s.Intake.Append(ctx, index.Append{Run: id, Attempt: 1, Data: j, At: now})
	return err
}

// endCompat writes the end of a run's journal. It first reads the journal, which has a few hundred bytes,
// because the outcome needs its digest.
func (s *Ping) endCompat(ctx context.Context, id string, now time.Time, o job.Outcome) error {
	was, err := journal.Recover(s.ReadJournal(ctx, id, 1))
	if err != nil {
		return fmt.Errorf("read journal of run %s: %w", id, err)
	}
	if was.Ended {
		return nil
	}
	var j buffer
	w := journal.ResumeWriter(&j, was)
	if was.Open >= 0 {
		if err := w.AppendJSON(journal.TypeStepEnded, now, journal.StepEnded{Index: was.Open, Outcome: o}); err != nil {
			return err
		}
	}
	if err := w.Finish(now, journal.Final{Outcome: o}); err != nil {
		return err
	}
	_, err = s.Intake.Append(ctx, index.Append{Run: id, Attempt: 1, Offset: was.Size, Data: j, At: now})
	return err
}

// beatCompat renews the lease of a run.
func (s *Ping) beatCompat(ctx context.Context, id string, now time.Time, length time.Duration) error {
	_, err := s.Intake.Beat(ctx, lease.Beat{
		Run: id, Attempt: 1, At: now, Lease: length,
		Heartbeat: job.Heartbeat{SentAt: now.UTC(), OutputAgeMS: -1, PeriodMS: (length / periodsPerLease).Milliseconds()},
	})
	return err
}

// buffer is a part of a journal in memory.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}
