package ping

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// call is what a call of a wire says.
type call string

const (
	callStarted   call = "started"
	callCompleted call = "completed"
	callFailed    call = "failed"
	callHeartbeat call = "heartbeat"
)

// Runs of these wires have two labels, which people may use as filters, and a version that no agent has.
const (
	wireLabel     = "wire"
	wireCompat    = "compat"
	beganLabel    = "began_with" // the call that began the run
	compatVersion = "compat/1"
)

const (
	// startedDelayLimit is how long after the first heartbeat of a run its started may arrive, because
	// two calls of a client can arrive in the wrong order.
	startedDelayLimit = 10 * time.Second
	// repeatLimit is how long after the end of a run a heartbeat belongs to it, and a repeated end is
	// ignored.
	repeatLimit = 30 * time.Second
	// startedTimeout is the lease of a run that has reported its start and has sent no heartbeat. It is
	// long, because many clients of this API send none.
	startedTimeout = 24 * time.Hour
	// After the second heartbeat the lease of a run is periodsPerLease times the time between its last
	// two, from minBeatTimeout to maxBeatTimeout; before it, the lease is maxBeatTimeout.
	periodsPerLease = 3
	minBeatTimeout  = 90 * time.Second
	maxBeatTimeout  = time.Hour
	// A call belongs to an existing run if it arrives within returnLimit after the last one of that run.
	// Without the call started, a later one may belong to a new run. A client that reports starts
	// reports also that of a new run, so the limit of its runs is returnStartedLimit.
	returnLimit        = 3 * maxBeatTimeout
	returnStartedLimit = 7 * startedTimeout
)

// compatPlan is what a call changes.
type compatPlan struct {
	endPrevious bool          // the last run ends first, because a new run begins
	begin       bool          // a new run begins
	end         *job.Outcome  // the new run, or else the last, ends with this outcome; nil if it does not end
	lease       time.Duration // the new lease; 0 to keep the present one
}

// changesLast reports whether the plan changes the last run, and not only a new one.
func (p compatPlan) changesLast() bool {
	return p.endPrevious || !p.begin && (p.end != nil || p.lease > 0)
}

// isUnended reports whether a run exists and has not reported its end. A run that was called lost has an
// outcome without a time of the end.
func isUnended(run job.Run) bool {
	return run.ID != "" && (run.Outcome == nil || run.State == job.Lost && run.EndedAt == nil)
}

// isOpen reports whether a call may belong to a run: the run has not ended, also if it was called lost, and
// its last call is within the limit.
func isOpen(run job.Run, now time.Time) bool {
	last, limit := run.CreatedAt, returnLimit
	if beat := run.LastHeartbeatAt; beat != nil && beat.After(last) {
		last = *beat
	}
	if run.Labels[beganLabel] == string(callStarted) {
		limit = returnStartedLimit
	}
	return isUnended(run) && now.Sub(last) <= limit
}

// planCompat returns what a call changes. last is the newest run of the job that this API created.
func planCompat(c call, last job.Run, now time.Time) compatPlan {
	unended, open := isUnended(last), isOpen(last, now)
	justEnded := last.ID != "" && !unended && last.EndedAt != nil && now.Sub(*last.EndedAt) < repeatLimit
	switch c {
	case callStarted:
		if open && last.Labels[beganLabel] == string(callHeartbeat) && now.Sub(last.CreatedAt) < startedDelayLimit {
			return compatPlan{} // the run has begun with its heartbeat
		}
		return compatPlan{endPrevious: unended, begin: true, lease: startedTimeout}
	case callHeartbeat:
		switch {
		case open:
			return compatPlan{lease: nextLease(last, now)}
		case justEnded:
			return compatPlan{} // the end arrived before the heartbeat
		}
		return compatPlan{endPrevious: unended, begin: true, lease: maxBeatTimeout}
	}
	o := compatOutcome(c)
	if justEnded && last.Outcome.State == o.State {
		return compatPlan{} // the end is repeated
	}
	return compatPlan{endPrevious: unended && !open, begin: !open, end: &o}
}

// nextLease returns the lease after a heartbeat: periodsPerLease times the time since the last one, because
// this API has no field for the period. The time from the start to the first heartbeat is not used, because
// many clients send both at once.
func nextLease(run job.Run, now time.Time) time.Duration {
	const sameCall = time.Second // the start is stored as a heartbeat too
	lastBeat := run.LastHeartbeatAt
	if lastBeat == nil || run.Labels[beganLabel] == string(callStarted) && lastBeat.Sub(run.CreatedAt) < sameCall {
		return maxBeatTimeout
	}
	return min(max(periodsPerLease*now.Sub(*lastBeat), minBeatTimeout), maxBeatTimeout)
}

// compatOutcome returns the outcome for completed or failed. This API has no exit code: completed means 0,
// and the code of failed is not known.
func compatOutcome(c call) job.Outcome {
	if c == callCompleted {
		zero := 0
		return job.Outcome{
			State: job.Succeeded, Reason: job.ExitCode, ExitCode: &zero, Step: "command",
			Message: "Reported as completed.",
		}
	}
	return job.Outcome{
		State: job.Failed, Reason: job.ExitCode, Step: "command",
		Message: "Reported as failed; this client does not report exit codes.",
	}
}

// previousOutcome returns the outcome of a run that has not reported its end before the next one began.
func previousOutcome(name string) job.Outcome {
	return job.Outcome{
		State: job.Lost, Reason: job.AgentLost, Step: "command",
		Message: fmt.Sprintf("A new run of %s began before this one reported its end.", name),
	}
}
