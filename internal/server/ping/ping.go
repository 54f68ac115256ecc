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

// The wire has two calls, and nothing that names a run. The
// server writes such a run's journal itself, through the same ingest as any agent's, so
// that everything else sees a run like any other. Which run a call belongs to is read
// from the store each time, so that a restart in the middle changes nothing.

// Store finds the run that a call belongs to.
type Store interface {
	Runs(ctx context.Context, q query.Runs) (query.RunPage, error)
	// LockJob returns once nobody else, on this server or another one of the database, holds the
	// lock of a job's name, and keeps it until unlock is called.
	LockJob(ctx context.Context, name string) (unlock func(), err error)
}

// Intake makes durable what the calls mean.
type Intake interface {
	Append(ctx context.Context, a index.Append) (index.Appended, error)
	Beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error)
}

// Ping answers the calls.
type Ping struct {
	httpio.Replies
	Store  Store
	Now    func() time.Time
	Intake Intake
	// Claim makes sure that who sent a request may write to a run.
	Claim func(ctx context.Context, run string) error
	// ReadJournal reads the stored journal of an attempt.
	ReadJournal func(ctx context.Context, run string, attempt int) io.Reader
}

// compatStatus is the body of a status call.
type compatStatus struct {
	Status string `json:"status" enum:"started,completed,failed"`
}

// compatReply names the run that a call belonged to.
type compatReply struct {
	Run string `json:"run"`
}

// PutCompatStatus takes started, completed or failed.
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
			"there is no status %s: send started, completed or failed", job.Quote(body.Status)))
		return
	}
	s.compatCall(w, r, name, call)
}

// PutCompatHeartbeat takes a sign of life. What the body holds does not matter.
func (s *Ping) PutCompatHeartbeat(w http.ResponseWriter, r *http.Request) {
	name, err := compatJob(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.compatCall(w, r, name, callHeartbeat)
}

func compatJob(r *http.Request) (string, error) {
	if err := httpio.NewParams(r).Err; err != nil {
		return "", err
	}
	name := r.PathValue("job")
	return name, job.CheckName(name)
}

// compatCall does what a call means. Calls for one job come one after the other, also over
// several servers: two at once would both see the state before.
func (s *Ping) compatCall(w http.ResponseWriter, r *http.Request, name string, call compatCall) {
	var id string
	unlock, err := s.Store.LockJob(r.Context(), name)
	if err == nil {
		defer unlock()
		id, err = s.doCompat(r.Context(), name, httpio.RemoteHost(r), call)
	}
	if err != nil {
		s.Fail(w, r, fmt.Errorf("%s for job %s through the compat wire: %w", call, job.Quote(name), err))
		return
	}
	httpio.Answer(w, compatReply{id})
}

// doCompat reads where the job is, decides, and writes what follows.
func (s *Ping) doCompat(ctx context.Context, name, host string, call compatCall) (string, error) {
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
	if plan.endFormer {
		if err := s.endCompat(ctx, last.ID, now, formerOutcome(name)); err != nil {
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
		if err := s.Claim(ctx, id); err != nil { // before the run exists, as an agent does
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

// lastCompat is the newest run of a job that came through this wire; one without id when
// there is none.
func (s *Ping) lastCompat(ctx context.Context, name string) (job.Run, error) {
	page, err := s.Store.Runs(ctx, query.Runs{Job: name, Labels: map[string]string{wireLabel: wireCompat}, Limit: 20})
	if err != nil {
		return job.Run{}, fmt.Errorf("find the last run: %w", err)
	}
	for _, run := range page.Runs {
		// An ordinary agent may use the label too, and its runs are its own.
		if run.AgentVersion == compatVersion {
			return run, nil
		}
	}
	return job.Run{}, nil
}

// beginCompat writes the beginning of a new run's journal.
func (s *Ping) beginCompat(ctx context.Context, id, name, host string, call compatCall, now time.Time) error {
	var j memory
	w, err := journal.NewWriter(&j)
	if err != nil {
		return err
	}
	err = errors.Join(
		w.AppendJSON(journal.TypeAttempt, now, journal.Attempt{
			Run: id, Attempt: 1, Job: name, Host: host, AgentVersion: compatVersion,
			Labels:            map[string]string{wireLabel: wireCompat, beganLabel: string(call)},
			HeartbeatPeriodMS: (compatPatience / compatBeats).Milliseconds(),
		}),
		w.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep}),
	)
	if err != nil {
		return err
	}
	_, err = s.Intake.Append(ctx, index.Append{Run: id, Attempt: 1, Data: j, At: now})
	return err
}

// endCompat writes the end of a run's journal. What is there is read back first: it is a
// few hundred bytes, and holds the digest that the outcome needs.
func (s *Ping) endCompat(ctx context.Context, id string, now time.Time, o job.Outcome) error {
	was, err := journal.Recover(s.ReadJournal(ctx, id, 1))
	if err != nil {
		return fmt.Errorf("read journal of run %s: %w", id, err)
	}
	if was.Ended {
		return nil
	}
	var j memory
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
		Heartbeat: job.Heartbeat{SentAt: now.UTC(), OutputAgeMS: -1, PeriodMS: (length / compatBeats).Milliseconds()},
	})
	return err
}

// memory is a journal being written.
type memory []byte

func (m *memory) Write(p []byte) (int, error) {
	*m = append(*m, p...)
	return len(p), nil
}
