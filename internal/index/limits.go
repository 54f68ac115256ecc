package index

import (
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Limits are those that an attempt was started with; 0 for none.
type Limits struct {
	Timeout     time.Duration `json:"timeout,omitempty"`
	Expect      time.Duration `json:"expect,omitempty"` // no limit: longer is worth a finding
	MemoryBytes int64         `json:"memory,omitempty"`
}

// longestLimit bounds what a journal may claim.
const longestLimit = 10 * 365 * 24 * time.Hour

// limitsOf returns the limits in an attempt's identity record.
func limitsOf(a journal.Attempt) Limits {
	return Limits{Timeout: job.Milliseconds(a.TimeoutMS, 0, longestLimit), Expect: job.Milliseconds(a.ExpectMS, 0, longestLimit), MemoryBytes: job.BoundBytes(a.MemoryLimitBytes)}
}
