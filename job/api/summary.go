package api

import (
	"time"

	"stint.dev/stint/job"
)

// Summary is a job and what its runs have shown.
type Summary struct {
	Name          string     `json:"name"`
	Runs          int64      `json:"runs"`
	Active        int64      `json:"active"`
	Succeeded     int64      `json:"succeeded"`
	LastRun       *job.Run   `json:"last_run"`
	LastSuccessAt *time.Time `json:"last_success_at"`
	// Expected is the band of the last 20 good runs; nil before the third.
	Expected *job.Expected `json:"expected,omitempty"`
	// Duration and peak memory over the last 20 runs that succeeded; nil before the first.
	Usual *job.Usual `json:"usual"`
	// NextAt is when a schedule starts the job next; nil if none does.
	NextAt *time.Time `json:"next_at,omitempty"`
	// Due is when a start of the job is expected; nil if the job has no expectation.
	Due *Due `json:"due,omitempty"`
	// Findings are those about the job: that it was missed, and schedules that do not start it.
	Findings []JobFinding `json:"findings,omitempty"`
}
