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
	shown.LastHeartbeatAt, shown.Cancel = run.LastHeartbeatAt, run.Cancel
	shown.Acknowledged = validAcknowledgement(&run)
	shown.SuspendedAt, shown.Submitted = run.SuspendedAt, run.Submitted
	shown.Expected, shown.Diagnosis = run.Expected, run.Diagnosis
	if HasServerVerdict(run) && (view.Outcome == nil || view.Outcome.State != run.State) {
		shown.Outcome = run.Outcome // what the agent reports later does not change the verdict
	}
	return shown
}

// HasServerVerdict reports whether the server ended the run without its agent.
func HasServerVerdict(run job.Run) bool {
	ended := run.State == job.Canceled && run.Cancel != nil || run.State == job.Lost
	return ended && run.Outcome != nil && run.Outcome.State == run.State
}
