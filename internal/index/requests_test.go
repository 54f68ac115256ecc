package index

import (
	"testing"

	"stint.dev/stint/job"
)

func TestRequestedByPolicy(t *testing.T) {
	for evidence, want := range map[string]bool{
		StopEvidence(job.PolicyAuthor, "stalled: no output"):                              true,
		StopEvidence(job.PolicyAuthor, "") + " before the attempt ended.":                 true,
		RetryEvidence(job.PolicyAuthor, "failed"):                                         true,
		agentEvidence(reasonText(job.ByCancel), job.PolicyAuthor, "stalled: no output"):   true,
		StopEvidence("ada", "stalled"):                                                    false,
		StopEvidence("ada", "requested by "+job.PolicyAuthor):                             false,
		RetryEvidence("ada", ""):                                                          false,
		agentEvidence(reasonText(job.ByCancel), "ada", "by "+job.PolicyAuthor):            false,
		agentEvidence(reasonText(job.Timeout), "", "it ran longer, by "+job.PolicyAuthor): false,
		"Waits for " + StopEvidence(job.PolicyAuthor, ""):                                 false,
	} {
		if got := RequestedByPolicy(evidence); got != want {
			t.Errorf("%q: %v, want %v", evidence, got, want)
		}
	}
}
