// Package outbox computes the notifications, cancels and retries that follow from the changes of a run. It is pure: it returns
// the entries of the outbox for a run and its events.
package outbox

import (
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Kinds of entries.
const (
	Notify = "notify" // notify people
	Cancel = "cancel" // stop the attempt, and end it on the server if no agent does
	Retry  = "retry"  // check that the next attempt begins
)

// What happened, as notifications and routes call it. Findings are called by the name of
// their rule.
const (
	WhatFailed    = "failed"
	WhatTimedOut  = "timed_out"
	WhatCanceled  = "canceled"
	WhatSucceeded = "succeeded" // only when some route asks for it
	WhatLate      = "late"      // runs ended before what is known already; only for routes that name it
	WhatLost      = "lost"
	WhatHealed    = "healed"    // the agent of a lost run reported again
	WhatRecovered = "recovered" // a good run after a bad one, or a finding that passed
	WhatMissed    = "missed"    // a job was due and has not started
	WhatSkipped   = "skipped"   // a schedule does not start its job
	WhatNetwork   = "network"   // the agents of many runs went silent together
	WhatTest      = "test"      // a test of a route
)

// Info is the severity of an event that is no problem: only routes that name the event take it.
const Info job.Health = "info"

// Statuses of outbox rows.
const (
	Pending = "pending"
	Done    = "done"
	Failed  = "failed"  // given up; the last error says why
	Dropped = "dropped" // not needed; the last error says why
)

// Entry is a notification or an action that follows from a change. It is stored in the transaction of the change. The routes of a
// notification, and when it is sent, are decided later.
type Entry struct {
	Kind    string // Notify, Cancel or Retry
	Run     string // empty for a notice about the server as a whole, and about a job without runs
	Job     string // for a notice about a job; with Run, its last run
	Attempt int    // what was meant; for a cancel the fence: a later attempt is left alone
	// What happened: one of the words above, or the rule of a finding.
	What string
	// Severity is Info, Warning or Critical; empty for a cancel and a retry.
	Severity job.Health
	// Message is one sentence for a person.
	Message string
	// Ends names what is over, for WhatRecovered of a finding: its rule. A notification
	// of that rule that has not been sent yet is joined with this one.
	Ends string
	At   time.Time // the server's clock
	// After, if set, is the earliest time to do it.
	After time.Time
	// By is the person or program that requested a cancel or a retry, or job.PolicyAuthor.
	By string
	// Late is what WhatLate counts: runs of one job. Run is the last of them.
	Late *api.LateRuns
}

// ReserveTime is for how long a route belongs to a server that has reserved it.
const ReserveTime = time.Minute

// Result is the result of an outbox row after a try, or without one.
type Result struct {
	ID     int64
	Status string // Pending to try again at NextAt
	Tries  int
	NextAt time.Time
	Batch  int64
	Error  string
	At     time.Time
	// Again, if set, is when the same notification is to be sent again.
	Again time.Time
}

// Progress is the progress of a cancel, or of the check that a retry begins.
type Progress struct {
	Over bool   // it is done
	Why  string // one sentence, when over
	// Run and Events are set when the run was changed.
	Run    *job.Run
	Events []job.RunEvent
}

// NoRetryError is the error of a retry of a run whose agent does not wait for one.
type NoRetryError struct {
	Run job.Run
	Why string
}

func (e *NoRetryError) Error() string { return e.Why }

// RetryRequest requests another attempt from a waiting agent.
type RetryRequest struct {
	Attempt int
	By, Why string
}
