package tables

import (
	"stint.dev/stint/job"
)

// stillAcknowledged returns the acknowledgement of a run; nil when it is about what was wrong before.
func stillAcknowledged(r *job.Run) *job.Acknowledgement {
	if r.Acknowledged == nil || !r.Acknowledged.Covers(r) {
		return nil
	}
	return r.Acknowledged
}

// ShowAttempt is the run with what its attempt's journal tells; identity, state and
// judgement stay the server's.
func ShowAttempt(run job.Run, view *job.Run) job.Run {
	shown := *view
	shown.ID, shown.Job, shown.Number, shown.Attempt = run.ID, run.Job, run.Number, run.Attempt
	shown.State, shown.Health, shown.Findings = run.State, run.Health, run.Findings
	shown.CreatedAt, shown.StartAt, shown.DeliveredLateSeconds = run.CreatedAt, run.StartAt, run.DeliveredLateSeconds
	shown.LastHeartbeatAt, shown.Cancel = run.LastHeartbeatAt, run.Cancel
	shown.Acknowledged = stillAcknowledged(&run)
	shown.SuspendedAt = run.SuspendedAt
	shown.Expected, shown.Diagnosis = run.Expected, run.Diagnosis
	if decided(run) && (view.Outcome == nil || view.Outcome.State != run.State) {
		shown.Outcome = run.Outcome // a late word of the agent does not change the verdict
	}
	return shown
}

// decided reports whether the server ended the run without its agent.
func decided(run job.Run) bool {
	ended := run.State == job.Canceled && run.Cancel != nil || run.State == job.Lost
	return ended && run.Outcome != nil && run.Outcome.State == run.State
}
