package api

import "stint.dev/stint/job"

// JobFinding is a finding about a job, which has no run: its rule is missed or skipped.
type JobFinding struct {
	Job string `json:"job"`
	job.Finding
	// SentenceTimes are the moments that the evidence names.
	SentenceTimes []job.SentenceTime `json:"sentence_times,omitempty"`
}
