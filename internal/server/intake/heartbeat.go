package intake

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// PostHeartbeat renews the lease of an attempt. A run may have heartbeats before its first append
// creates it.
func (s *Intake) PostHeartbeat(w http.ResponseWriter, r *http.Request) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	err = httpio.NewParams(r).Err
	if err == nil {
		err = s.claimAttempt(r.Context(), run, attempt)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	carried := s.Agents.Arrived(r, run, attempt)
	var hb job.Heartbeat
	if err := httpio.ReadJSON(r, "a heartbeat", false, &hb); err != nil {
		s.Fail(w, r, err)
		return
	}
	now := s.Now()
	next := s.pace.next(now, lease.Period(hb.PeriodMS))
	length := lease.For(next)
	trust := lease.TrustFor(next, length)
	if hb.Suspended {
		length, trust = lease.Suspended, lease.Suspended
	}
	hb.PeriodMS = next.Milliseconds() // the health rules use the period that the reply asks for
	s.Agents.Beat(carried, r, hb.Sequence, next)
	done, err := s.committer.beat(r.Context(), lease.Beat{
		Run: run, Attempt: attempt, Heartbeat: hb.Bounded(), At: now, Lease: trust, Incarnation: access.CallerOf(r.Context()).Incarnation,
	})
	if err == nil && done.Ended {
		err = s.refuseWhole(r.Context(), run, attempt)
	}
	if err != nil {
		s.Fail(w, r, fmt.Errorf("record heartbeat of run %s, attempt %d: %w", run, attempt, err))
		return
	}
	s.counters.beats.Inc()
	reply := beatReply(done, length, next, s.Followers.Watched(run))
	reply.Run, reply.Attempt, reply.Server = run, attempt, s.Store.Installation()
	writeReply(w, reply)
}

// writeReply writes a reply. One without commands is written without reflection, because nearly
// all requests of a server are heartbeats with such a reply.
func writeReply(w http.ResponseWriter, r job.HeartbeatReply) {
	if len(r.Commands) > 0 {
		httpio.OK(w, r)
		return
	}
	b := append(make([]byte, 0, 256), `{"run":"`...) // both ids are UUIDs, which need no escaping
	b = append(append(b, r.Run...), `","attempt":`...)
	b = append(strconv.AppendInt(b, int64(r.Attempt), 10), `,"server":"`...)
	b = append(append(b, r.Server...), `","lease_ms":`...)
	b = append(strconv.AppendInt(b, r.LeaseMS, 10), `,"next_ms":`...)
	b = append(strconv.AppendInt(b, r.NextMS, 10), `,"owner":`...)
	b = append(strconv.AppendBool(b, r.Owner), `,"watched":`...)
	b = append(strconv.AppendBool(b, r.Watched), ",\"commands\":[]}\n"...)
	httpio.WriteBody(w, "application/json", http.StatusOK, b)
}

// beatReply returns the reply to a heartbeat. The command to cancel is repeated until the journal has
// the end of the attempt. An attempt of a run that does not exist yet owns the run.
func beatReply(b lease.BeatResult, length, next time.Duration, watched bool) job.HeartbeatReply {
	reply := job.HeartbeatReply{
		LeaseMS: length.Milliseconds(), NextMS: next.Milliseconds(),
		Owner: b.Owner || !b.Known, Watched: watched, Commands: []job.Command{},
	}
	if b.Cancel != nil && !b.Ended {
		reply.Commands = append(reply.Commands, job.Command{Kind: "cancel", By: b.Cancel.By, Why: b.Cancel.Why})
	}
	if b.Retry != nil {
		reply.Commands = append(reply.Commands, job.Command{Kind: "retry", By: b.Retry.By, Why: b.Retry.Why, Attempt: b.Retry.Attempt})
	}
	return reply
}
