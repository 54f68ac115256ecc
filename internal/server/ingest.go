package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// postJournal appends journal bytes at an offset, and answers once they are durable.
func (s *Server) postJournal(w http.ResponseWriter, r *http.Request) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	offset, writer, err := placeOf(r)
	if err == nil {
		err = s.ownAttempt(r.Context(), run, attempt)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.agents.Append(s.agents.Arrived(r, run, attempt), r)
	a := index.Append{Run: run, Attempt: attempt, Offset: offset, Writer: writer, ClockOffset: clockOffset(r.Header, s.now())}
	b, err := s.readBody(w, r)
	defer b.release()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(httpio.AnswerBy())
	a.Data, a.At = b.data, s.now()
	size, err := s.appendBody(r, a)
	switch {
	case b.cut != nil:
		s.log.Debug("client was cut off inside an append; what came was kept",
			"run", run, "attempt", attempt, "offset", offset, "bytes", len(b.data), "error", b.cut)
		panic(http.ErrAbortHandler) // nobody is there to hear an answer
	case err != nil:
		s.metrics.appendRefused(err)
		s.fail(w, r, s.explainAppend(r.Context(), run, attempt, b.data, err))
	default:
		httpio.Answer(w, job.AppendReply{
			Run: run, Attempt: attempt, Server: s.store.Installation(),
			Size: size, Watched: s.broker.Watched(run),
		})
	}
}

// appendBody hands an append to the committer and returns how far the journal is. An
// empty append is a question: it changes nothing but the journal's writer.
func (s *Server) appendBody(r *http.Request, a index.Append) (size int64, err error) {
	if len(a.Data) > 0 || a.Writer > 0 {
		// Not the request's context: it ends with the client, and what came is kept.
		done, err := s.committer.append(context.WithoutCancel(r.Context()), a)
		if err != nil {
			return 0, fmt.Errorf("append to run %s, attempt %d: %w", a.Run, a.Attempt, err)
		}
		size = done.Size
	} else if size, err = s.store.JournalSize(r.Context(), a.Run, a.Attempt); err != nil {
		return 0, fmt.Errorf("look up journal of run %s, attempt %d: %w", a.Run, a.Attempt, err)
	}
	if len(a.Data) == 0 && size != a.Offset {
		return 0, &index.OffsetError{Offset: a.Offset, Size: size}
	}
	return size, nil
}

// clockOffset is what an agent's clock is behind the server's, as the header of a request says
// that has just arrived; 0 if it does not say.
func clockOffset(h http.Header, now time.Time) time.Duration {
	at, err := time.Parse(time.RFC3339Nano, h.Get(job.HeaderClock))
	if err != nil {
		return 0
	}
	return now.Sub(at)
}

// appendCommitted wakes the readers of a run that has grown.
func (s *Server) appendCommitted(a index.Append, done index.Appended) {
	s.metrics.appended(a, done)
	if done.Run.Outcome != nil {
		s.agents.Forget(a.Run, a.Attempt)
	}
	s.broker.Notify(a.Run)
}

// beatCommitted wakes the readers of a run that a heartbeat changed.
func (s *Server) beatCommitted(b lease.Beat, done lease.BeatResult) {
	s.metrics.events(done.Events)
	if done.Ended {
		s.agents.Forget(b.Run, b.Attempt)
	}
	if len(done.Events) > 0 {
		s.broker.Notify(b.Run)
	}
}

// placeOf reads where an append begins, and who sends it: ?offset= and ?writer=, which is 0 when it
// is left out.
func placeOf(r *http.Request) (offset int64, writer int, err error) {
	p := httpio.NewParams(r, "offset", "writer")
	offset = p.Number("offset", 0, math.MaxInt64, -1)
	writer = int(p.Number("writer", 0, math.MaxInt32, 0))
	if p.Err == nil && offset < 0 {
		p.Refuse("offset is missing: send ?offset=N, 0 for the beginning")
	}
	return offset, writer, p.Err
}

// offsetOf reads ?offset=, the only parameter of the call, which is 0 when it is left out.
func offsetOf(r *http.Request) (int64, error) {
	p := httpio.NewParams(r, "offset")
	return p.Number("offset", 0, math.MaxInt64, 0), p.Err
}
