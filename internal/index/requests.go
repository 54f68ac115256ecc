package index

import (
	"strings"

	"stint.dev/stint/job"
)

// How the evidence of events begins that somebody requested.
const (
	stopRequestedBy  = "Stop requested by "
	retryRequestedBy = "Retry requested by "
	agentStops       = "The agent began to stop the job: "
)

// StopEvidence returns the evidence of a stop that somebody requested at the server.
func StopEvidence(by, why string) string { return withReason(stopRequestedBy+by, why) }

// RetryEvidence returns the evidence of a retry that somebody requested at the server.
func RetryEvidence(by, why string) string { return withReason(retryRequestedBy+by, why) }

// agentEvidence returns the evidence of a stop that an agent began. by and why may be empty.
func agentEvidence(reason, by, why string) string {
	evidence := agentStops + reason
	if by != "" {
		evidence += ", by " + by
	}
	return withReason(evidence, why) + "."
}

func withReason(sentence, why string) string {
	if why == "" {
		return sentence
	}
	return sentence + ": " + why
}

// RequestedByPolicy reports whether the evidence of an event is of a stop or a retry that the policy of
// the job requested. Events are stored without who requested them, so the functions above are the only
// ones that write such evidence.
func RequestedByPolicy(evidence string) bool {
	for _, begin := range []string{
		stopRequestedBy, retryRequestedBy, agentStops + reasonText(job.ByCancel) + ", by ",
	} {
		if strings.HasPrefix(evidence, begin+job.PolicyAuthor) {
			return true
		}
	}
	return false
}

// reasonText returns a reason as it is in a sentence.
func reasonText(r job.Reason) string { return strings.ReplaceAll(CleanText(string(r), 50), "_", " ") }
