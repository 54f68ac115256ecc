package intake

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// PostJournal appends journal bytes at an offset, and responds once they are durable.
func (s *Intake) PostJournal(w http.ResponseWriter, r *http.Request) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	offset, writer, err := appendParams(r)
	var ask *index.PermitRequest
	if err == nil {
		ask, err = permitRequest(r, offset, writer)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	if ask == nil { // else the claim decides who may write
		if err := s.claimAttempt(r.Context(), run, attempt); err != nil {
			s.refuseClaim(w, r, index.Append{Run: run, Attempt: attempt, Offset: offset}, err)
			return
		}
	}
	s.Agents.Append(s.Agents.Arrived(r, run, attempt), r)
	caller := access.CallerOf(r.Context())
	a := index.Append{
		Run: run, Attempt: attempt, Offset: offset, Writer: writer, ClockOffset: clockOffset(r.Header, s.Now()),
		ByAgent: caller.IsAgent(), Incarnation: caller.Incarnation, Permit: ask,
	}
	b, err := s.readBody(w, r)
	defer b.release()
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(httpio.ResponseDeadline())
	a.Data, a.At = b.data, s.Now()
	if ask != nil {
		s.answerPermit(w, r, a, b.cut != nil)
		return
	}
	done, err := s.appendBody(r, a)
	switch {
	case b.cut != nil:
		s.Log.Debug("the body of an append was cut off; the bytes received were stored",
			"run", run, "attempt", attempt, "offset", offset, "bytes", len(b.data), "error", b.cut)
		panic(http.ErrAbortHandler) // the client is gone
	case err != nil:
		s.counters.countRefused(err)
		s.Fail(w, r, s.explainAppend(r.Context(), a, err))
	default:
		httpio.OK(w, job.AppendReply{
			Run: run, Attempt: attempt, Server: s.Store.Installation(),
			Size: done.Size, Watched: s.Followers.Watched(run), Number: done.Run.Number, Notice: s.nameNotice(r.Context(), done),
		})
	}
}

// appendBody passes an append to the committer and returns the durable size of the journal, and the run where
// the append changed it. An empty append changes nothing but the journal's writer.
func (s *Intake) appendBody(r *http.Request, a index.Append) (done index.Appended, err error) {
	if len(a.Data) > 0 || a.Writer > 0 {
		// The request's context ends with the client, but the bytes received are stored.
		done, err = s.committer.append(context.WithoutCancel(r.Context()), a)
		if err != nil {
			return done, fmt.Errorf("append to run %s, attempt %d: %w", a.Run, a.Attempt, err)
		}
	} else if done.Size, err = s.Store.JournalSize(r.Context(), a.Run, a.Attempt); err != nil {
		return done, fmt.Errorf("look up journal of run %s, attempt %d: %w", a.Run, a.Attempt, err)
	}
	if len(a.Data) == 0 && done.Size != a.Offset {
		if err := s.refuseWhole(r.Context(), a.Run, a.Attempt); err != nil {
			return done, err
		}
		return done, &index.OffsetError{Offset: a.Offset, Size: done.Size}
	}
	return done, nil
}

// MayReadBack returns an error unless the caller of a request may read the journal of an attempt, which it writes.
func (s *Intake) MayReadBack(ctx context.Context, run string, attempt int) error {
	if err := s.Claim(ctx, run); err != nil {
		return err
	}
	return s.refuseWhole(ctx, run, attempt)
}

// refuseWhole returns *index.WholeError for a request with the token of an attempt whose journal is whole.
func (s *Intake) refuseWhole(ctx context.Context, run string, attempt int) error {
	if access.CallerOf(ctx).Incarnation == "" {
		return nil
	}
	size, err := s.Store.WholeSize(ctx, run, attempt)
	if err == nil && size > 0 {
		err = &index.WholeError{Run: run, Attempt: attempt, Size: size}
	}
	return err
}

// clockOffset returns by how much the clock of an agent is behind the server's, from the header of
// a request that arrived at now; 0 without that header.
func clockOffset(h http.Header, now time.Time) time.Duration {
	at, err := time.Parse(time.RFC3339Nano, h.Get(job.HeaderClock))
	if err != nil {
		return 0
	}
	return now.Sub(at)
}

// appendCommitted counts an append that is durable and wakes the live streams of its run.
func (s *Intake) appendCommitted(a index.Append, done index.Appended) {
	s.counters.countAppend(a)
	s.Changed(done.Events)
	if done.Run.Outcome != nil {
		s.Agents.Forget(a.Run, a.Attempt)
	}
	s.Followers.Notify(a.Run)
}

// beatCommitted wakes the live streams of a run that a heartbeat changed.
func (s *Intake) beatCommitted(b lease.Beat, done lease.BeatResult) {
	s.Changed(done.Events)
	if done.Ended {
		s.Agents.Forget(b.Run, b.Attempt)
	}
	if len(done.Events) > 0 {
		s.Followers.Notify(b.Run)
	}
}

// appendParams reads ?offset=, where an append begins, and ?writer=, the number of its sender, which
// is 0 by default.
func appendParams(r *http.Request) (offset int64, writer int, err error) {
	p := httpio.NewParams(r, "offset", "writer")
	offset = p.Number("offset", 0, math.MaxInt64, -1)
	writer = int(p.Number("writer", 0, math.MaxInt32, 0))
	if p.Err == nil && offset < 0 {
		p.Refuse("the offset is missing: send ?offset=N, which is 0 for the beginning")
	}
	return offset, writer, p.Err
}
