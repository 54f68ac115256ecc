package intake

import (
	"context"
	"fmt"
	"net/http"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// permitRequest returns the question for the permit to start an attempt, which is in the headers of its first
// append; nil for any other append.
func permitRequest(r *http.Request, offset int64, writer int) (*index.PermitRequest, error) {
	claim, incarnation := r.Header.Get(job.HeaderClaim), r.Header.Get(job.HeaderIncarnation)
	switch {
	case claim == "" && incarnation == "":
		return nil, nil
	case claim == "" || incarnation == "":
		return nil, httpio.NewProblem(http.StatusBadRequest, "the question for a permit needs both headers, %s and %s", job.HeaderClaim, job.HeaderIncarnation)
	case offset != 0 || writer != 0:
		return nil, httpio.NewProblem(http.StatusBadRequest, "the question for a permit is the first append of a journal, by its own agent: the offset must be 0, and there is no writer")
	}
	if err := queue.CheckIncarnation(incarnation); err != nil {
		return nil, err
	}
	return &index.PermitRequest{Claim: claim, Incarnation: incarnation}, nil
}

// permitReply is the reply to the first append of a submitted run's attempt.
type permitReply struct {
	job.AppendReply
	job.Permit
}

// answerPermit responds to the question for the permit to start an attempt. cut says that its body is
// incomplete: then nothing is asked.
func (s *Intake) answerPermit(w http.ResponseWriter, r *http.Request, a index.Append, cut bool) {
	if cut {
		panic(http.ErrAbortHandler) // the client is gone
	}
	// The request's context ends with the client, but the question is answered the same when it comes again.
	done, err := s.committer.append(context.WithoutCancel(r.Context()), a)
	if err != nil {
		s.counters.countRefused(err)
		s.Fail(w, r, s.explainAppend(r.Context(), a, fmt.Errorf("permit attempt %d of run %s: %w", a.Attempt, a.Run, err)))
		return
	}
	if done.Permit == nil {
		s.Fail(w, r, fmt.Errorf("permit attempt %d of run %s: the store did not answer", a.Attempt, a.Run))
		return
	}
	s.counters.countPermit(done)
	httpio.OK(w, permitReply{
		AppendReply: job.AppendReply{Run: a.Run, Attempt: a.Attempt, Server: s.Store.Installation(), Size: done.Size, Watched: s.Followers.Watched(a.Run)},
		Permit:      *done.Permit,
	})
}
