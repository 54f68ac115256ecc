package policy

import "time"

// Stored is the policy of a job as it was set: its text.
type Stored struct {
	Job   string
	YAML  string
	SetAt time.Time
	SetBy string
	// Unreadable says why what is to be done at the end of a run cannot be read; nil if it can.
	Unreadable error
}
