package index

import (
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Limits are those that an attempt was started with; 0 for none.
type Limits struct {
	Timeout     time.Duration `json:"timeout,omitempty"`
	Expect      time.Duration `json:"expect,omitempty"` // a longer run has a finding
	MemoryBytes int64         `json:"memory,omitempty"`
	// Pinged reports whether pings report the attempt: nothing arrives of it between its start and its end.
	Pinged bool `json:"pinged,omitempty"`
}

// PingsVersion is what runs that pings report have in place of the version of an agent.
const PingsVersion = "healthchecks/1"

// longestLimit is the longest limit of a journal that is accepted.
const longestLimit = 10 * 365 * 24 * time.Hour

// limitsOf returns the limits in an attempt's identity record.
func limitsOf(a journal.Attempt) Limits {
	return Limits{
		Timeout: job.Milliseconds(a.TimeoutMS, 0, longestLimit), Expect: job.Milliseconds(a.ExpectMS, 0, longestLimit),
		MemoryBytes: job.BoundBytes(a.MemoryLimitBytes), Pinged: a.AgentVersion == PingsVersion,
	}
}
