package intake

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

// PostJournal appends journal bytes at an offset, and answers once they are durable.
func (s *Intake) PostJournal(w http.ResponseWriter, r *http.Request) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	offset, writer, err := placeOf(r)
	if err == nil {
		err = s.claimAttempt(r.Context(), run, attempt)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.Agents.Append(s.Agents.Arrived(r, run, attempt), r)
	a := index.Append{Run: run, Attempt: attempt, Offset: offset, Writer: writer, ClockOffset: clockOffset(r.Header, s.Now())}
	b, err := s.readBody(w, r)
	defer b.release()
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(httpio.AnswerBy())
	a.Data, a.At = b.data, s.Now()
	size, err := s.appendBody(r, a)
	switch {
	case b.cut != nil:
		s.Log.Debug("client was cut off inside an append; what came was kept",
			"run", run, "attempt", attempt, "offset", offset, "bytes", len(b.data), "error", b.cut)
		panic(http.ErrAbortHandler) // nobody is there to hear an answer
	case err != nil:
		s.counters.appendRefused(err)
		s.Fail(w, r, s.explainAppend(r.Context(), run, attempt, b.data, err))
	default:
		httpio.Answer(w, job.AppendReply{
			Run: run, Attempt: attempt, Server: s.Store.Installation(),
			Size: size, Watched: s.Followers.Watched(run),
		})
	}
}

// appendBody hands an append to the committer and returns how far the journal is. An
// empty append is a question: it changes nothing but the journal's writer.
func (s *Intake) appendBody(r *http.Request, a index.Append) (size int64, err error) {
	if len(a.Data) > 0 || a.Writer > 0 {
		// Not the request's context: it ends with the client, and what came is kept.
		done, err := s.committer.append(context.WithoutCancel(r.Context()), a)
		if err != nil {
			return 0, fmt.Errorf("append to run %s, attempt %d: %w", a.Run, a.Attempt, err)
		}
		size = done.Size
	} else if size, err = s.Store.JournalSize(r.Context(), a.Run, a.Attempt); err != nil {
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
func (s *Intake) appendCommitted(a index.Append, done index.Appended) {
	s.counters.appended(a)
	s.Changed(done.Events)
	if done.Run.Outcome != nil {
		s.Agents.Forget(a.Run, a.Attempt)
	}
	s.Followers.Notify(a.Run)
}

// beatCommitted wakes the readers of a run that a heartbeat changed.
func (s *Intake) beatCommitted(b lease.Beat, done lease.BeatResult) {
	s.Changed(done.Events)
	if done.Ended {
		s.Agents.Forget(b.Run, b.Attempt)
	}
	if len(done.Events) > 0 {
		s.Followers.Notify(b.Run)
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
