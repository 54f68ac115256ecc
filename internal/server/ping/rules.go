package ping

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// compatCall is a call of a client of the wire.
type compatCall string

const (
	callStarted   compatCall = "started"
	callCompleted compatCall = "completed"
	callFailed    compatCall = "failed"
	callHeartbeat compatCall = "heartbeat"
)

// How runs of this wire are distinguished from others: two labels that people may filter by, and
// the version that no ordinary agent has.
const (
	wireLabel     = "wire"
	wireCompat    = "compat"
	beganLabel    = "began_with" // the call that began the run
	compatVersion = "compat/1"
)

const (
	// compatEarly is how long after a heartbeat began a run its started may follow: the
	// two calls of one client can overtake each other.
	compatEarly = 10 * time.Second
	// compatLate is how long after a run's end a heartbeat still belongs to it, and a
	// repeated end is a repetition.
	compatLate = 30 * time.Second
	// compatPatience is the lease of a run that has reported its start and never beat: many
	// clients of this wire send no heartbeats at all, and silence says nothing then.
	compatPatience = 24 * time.Hour
	// Once a client has beaten twice, three of its own periods are its lease, within these bounds;
	// before that its period is unknown, and its lease the longest.
	compatBeats    = 3
	compatMinLease = 90 * time.Second
	compatMaxLease = time.Hour
	// A run goes on when its client calls again within one of these of its last sign of life. A
	// client that reports its starts says itself when a new run begins. What another one sends may be
	// of its next run: it is trusted as long as it may be silent, three times over.
	compatReturn        = 3 * compatMaxLease
	compatReturnStarted = 7 * compatPatience
)

// compatPlan is what follows from a call.
type compatPlan struct {
	endFormer bool          // the last run ends first: a new one shows that it is over
	begin     bool          // a new run begins
	end       *job.Outcome  // the run (the new one, or else the last) ends like this
	lease     time.Duration // how long it is trusted from now on; 0 to leave that
}

// changesLast reports whether the last run, and not only a new one, is written to.
func (p compatPlan) changesLast() bool {
	return p.endFormer || !p.begin && (p.end != nil || p.lease > 0)
}

// compatUnended reports whether a run has not reported its end. The verdict lost is an outcome without a
// time of the end.
func compatUnended(run job.Run) bool {
	return run.ID != "" && (run.Outcome == nil || run.State == job.Lost && run.EndedAt == nil)
}

// compatOpen reports whether calls belong to the run: it has not ended, and its client called not
// too long ago. Until then it goes on also after it was called lost.
func compatOpen(run job.Run, now time.Time) bool {
	sign, most := run.CreatedAt, compatReturn
	if beat := run.LastHeartbeatAt; beat != nil && beat.After(sign) {
		sign = *beat
	}
	if run.Labels[beganLabel] == string(callStarted) {
		most = compatReturnStarted
	}
	return compatUnended(run) && now.Sub(sign) <= most
}

// planCompat decides what a call means, given the newest run of the job on this wire.
func planCompat(call compatCall, last job.Run, now time.Time) compatPlan {
	unended, open := compatUnended(last), compatOpen(last, now)
	justEnded := last.ID != "" && !unended && last.EndedAt != nil && now.Sub(*last.EndedAt) < compatLate
	switch call {
	case callStarted:
		if open && last.Labels[beganLabel] == string(callHeartbeat) && now.Sub(last.CreatedAt) < compatEarly {
			return compatPlan{} // this is the start of the run that its heartbeat began
		}
		return compatPlan{endFormer: unended, begin: true, lease: compatPatience}
	case callHeartbeat:
		switch {
		case open:
			return compatPlan{lease: compatLease(last, now)}
		case justEnded:
			return compatPlan{} // a late one, overtaken by the end
		}
		return compatPlan{endFormer: unended, begin: true, lease: compatMaxLease}
	}
	o := compatOutcome(call)
	if justEnded && last.Outcome.State == o.State {
		return compatPlan{} // reported twice
	}
	return compatPlan{endFormer: unended && !open, begin: !open, end: &o}
}

// compatLease is three times what passed since the last heartbeat, because the wire does not say
// how often its client means to beat. How long the first one came after the start says nothing
// about that: many clients send it at once.
func compatLease(run job.Run, now time.Time) time.Duration {
	const sameCall = time.Second // the start is stored as a heartbeat too
	lastBeat := run.LastHeartbeatAt
	if lastBeat == nil || run.Labels[beganLabel] == string(callStarted) && lastBeat.Sub(run.CreatedAt) < sameCall {
		return compatMaxLease
	}
	return min(max(compatBeats*now.Sub(*lastBeat), compatMinLease), compatMaxLease)
}

// compatOutcome is the end that a client reported. The wire carries no exit code: completed
// means 0, and of failed nobody knows more.
func compatOutcome(call compatCall) job.Outcome {
	if call == callCompleted {
		zero := 0
		return job.Outcome{
			State: job.Succeeded, Reason: job.ExitCode, ExitCode: &zero, Step: "command",
			Message: "Reported as completed.",
		}
	}
	return job.Outcome{
		State: job.Failed, Reason: job.ExitCode, Step: "command",
		Message: "Reported as failed; this client cannot say with what code.",
	}
}

// formerOutcome is the end of a run whose successor began before it reported its own.
func formerOutcome(name string) job.Outcome {
	return job.Outcome{
		State: job.Lost, Reason: job.AgentLost, Step: "command",
		Message: fmt.Sprintf("A new run of %s began before this one told its end.", name),
	}
}
