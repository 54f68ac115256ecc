package await

import (
	"fmt"

	"stint.dev/stint/internal/agent/exit"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// Name returns the name of a run for people: job#number.
func Name(r job.Run) string { return fmt.Sprintf("%s#%d", r.Job, r.Number) }

// exitCode is that of a run that ended, by the contract of stint run.
func exitCode(run job.Run) int {
	if neverStarted(run) || run.Outcome == nil || run.State == job.Lost {
		return console.ExitNoStart
	}
	code, _ := exit.Of(*run.Outcome, exit.End{Requested: exit.RequestedBy(*run.Outcome)})
	return code
}

// EndedText says in one line how a run ended.
func EndedText(r job.Run) string {
	switch {
	case neverStarted(r):
		return fmt.Sprintf("%s never started: %s", Name(r), whyNot(r))
	case r.State == job.Succeeded:
		if took, known := r.Took(); known {
			return fmt.Sprintf("%s succeeded after %s", Name(r), job.DurationText(took))
		}
		return Name(r) + " succeeded"
	case r.Outcome != nil && r.Outcome.Message != "":
		return fmt.Sprintf("%s is %s: %s", Name(r), r.State, console.LocalTimes(r.Outcome.Message, r.SentenceTimes))
	}
	return fmt.Sprintf("%s is %s", Name(r), r.State)
}

// neverStarted reports whether a run ended without a start.
func neverStarted(r job.Run) bool {
	return r.State.Terminal() && (r.Attempt == 0 || r.StartedAt == nil && r.Outcome == nil)
}

// whyNot is why a run never started.
func whyNot(r job.Run) string {
	switch {
	case r.Submitted != nil && r.Submitted.Reason != "":
		return r.Submitted.Reason
	case r.Outcome != nil && r.Outcome.Message != "":
		return console.LocalTimes(r.Outcome.Message, r.SentenceTimes)
	case r.Cancel != nil && r.Cancel.Why != "":
		return "canceled by " + r.Cancel.By + ": " + r.Cancel.Why
	case r.Cancel != nil:
		return "canceled by " + r.Cancel.By
	}
	return "it is " + string(r.State)
}
