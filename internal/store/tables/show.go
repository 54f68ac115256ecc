package tables

import (
	"stint.dev/stint/job"
)

// validAcknowledgement returns the acknowledgement of a run; nil when it is about what was wrong before.
func validAcknowledgement(r *job.Run) *job.Acknowledgement {
	if r.Acknowledged == nil || !r.Acknowledged.Covers(r) {
		return nil
	}
	return r.Acknowledged
}

// WithAttempt returns a run with the view of its attempt's journal. Identity, state, health and what
// the server knows besides stay those of run.
func WithAttempt(run job.Run, view *job.Run) job.Run {
	shown := *view
	shown.ID, shown.Job, shown.Number, shown.Attempt = run.ID, run.Job, run.Number, run.Attempt
	shown.State, shown.Health, shown.Findings = run.State, run.Health, run.Findings
	shown.CreatedAt, shown.StartAt, shown.DeliveredLateSeconds = run.CreatedAt, run.StartAt, run.DeliveredLateSeconds
	shown.LastHeartbeatAt, shown.Cancel, shown.Submitted = run.LastHeartbeatAt, run.Cancel, run.Submitted
	shown.Acknowledged = validAcknowledgement(&run)
	shown.SuspendedAt, shown.Submitted = run.SuspendedAt, run.Submitted
	shown.Expected, shown.Diagnosis = run.Expected, run.Diagnosis
	if HasServerVerdict(run) && (view.Outcome == nil || view.Outcome.State != run.State || endedInQueue(run)) {
		shown.Outcome = run.Outcome // what the agent reports later does not change the verdict
	}
	return shown
}

// HasServerVerdict reports whether the server ended the run without its agent.
func HasServerVerdict(run job.Run) bool {
	if run.Outcome == nil {
		return false
	}
	if run.State == job.Retrying { // because the lease of the last attempt ended
		return run.Submitted != nil && run.EndedAt == nil && run.Outcome.State == job.Lost
	}
	if run.Outcome.State != run.State {
		return false
	}
	return run.State == job.Canceled && run.Cancel != nil || run.State == job.Lost || endedInQueue(run)
}

// endedInQueue reports whether a submitted run ended while it waited for an attempt: what becomes known of
// an earlier attempt does not change that.
func endedInQueue(run job.Run) bool {
	if run.Submitted == nil || !run.State.Terminal() {
		return false
	}
	switch run.Outcome.Reason {
	case job.Expired, job.DependencyEnd, job.CouldNotPlace:
		return true
	case job.CouldNotStart: // of an agent, it names the step that could not be started
		return run.Outcome.Step == ""
	}
	return false
}
