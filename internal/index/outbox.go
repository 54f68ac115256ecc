package index

import (
	"time"

	"stint.dev/stint/job"
)

// What an outbox row asks for.
const (
	OutboxNotify = "notify" // tell people
	OutboxCancel = "cancel" // stop the attempt, and end it here if nobody is there to obey
	OutboxRetry  = "retry"  // see that the next attempt begins
)

// What happened, as notifications and routes call it. Findings are called by the name of
// their rule.
const (
	WhatFailed    = "failed"
	WhatTimedOut  = "timed_out"
	WhatCanceled  = "canceled"
	WhatSucceeded = "succeeded" // only when some route asks for it
	WhatLate      = "late"      // runs ended before what is known already; only to who names it
	WhatLost      = "lost"
	WhatHealed    = "healed"    // a run called lost was heard again
	WhatRecovered = "recovered" // a good run after a bad one, or a finding that passed
	WhatNetwork   = "network"   // many runs fell silent together
	WhatTest      = "test"      // somebody tries a route
)

// Info is the severity of an event that is no trouble: only routes that name the event take it.
const Info job.Health = "info"

// How an outbox row stands.
const (
	OutboxPending = "pending"
	OutboxDone    = "done"
	OutboxFailed  = "failed"  // given up; the last error says why
	OutboxDropped = "dropped" // not needed; the last error says why
)

// OutboxEntry is something to do because of a change. Whoever makes the change stores it
// in the same transaction, so that neither can be without the other. It is cheap: which
// people are told, and when, is decided later.
type OutboxEntry struct {
	Kind    string // OutboxNotify, OutboxCancel or OutboxRetry
	Run     string // empty for a notice about the server as a whole
	Attempt int    // what was meant; for a cancel the fence: a later attempt is left alone
	// What happened: one of the words above, or the rule of a finding.
	What string
	// Severity is Info, Warning or Critical; empty for a cancel and a retry.
	Severity job.Health
	// Message is one sentence for a person.
	Message string
	// Ends names what is over, for WhatRecovered of a finding: its rule. A notification
	// of that rule that is still on its way is joined with this one.
	Ends string
	At   time.Time // the server's clock
	// After, if set, is the earliest time to do it.
	After time.Time
	// By says who or what wants it, for a cancel or a retry ("policy of the job").
	By string
	// Late is what WhatLate counts: runs of one job. Run is the last of them.
	Late *job.LateRuns
}

// ActionQuery asks for a page of actions, newest first.
type ActionQuery struct {
	Run    string // empty for all
	Status string // empty for all
	Limit  int    // 1 to 500
	Before int64  // only those with a smaller id; 0 for the newest
}

// Settled is what became of an outbox row after a try, or without one.
type Settled struct {
	ID     int64
	Status string // OutboxPending to try again at NextAt
	Tries  int
	NextAt time.Time
	Batch  int64
	Error  string
	At     time.Time
	// Again, if set, is when the same is to be told again.
	Again time.Time
}

// Stopped is how far a cancel, or the watch over a retry, has come.
type Stopped struct {
	Over bool   // nothing is left to be done
	Why  string // one sentence, when over
	// Run and Events are set when the run was changed.
	Run    *job.Run
	Events []job.RunEvent
}

// NoRetryError says that a run cannot be tried again by an agent that is there.
type NoRetryError struct {
	Run job.Run
	Why string
}

func (e *NoRetryError) Error() string { return e.Why }

// NotYetError says that an append is too early: the attempt before it has not ended here.
type NotYetError struct{ Why string }

func (e *NotYetError) Error() string { return e.Why }

// Retry is a further attempt that a waiting agent is asked for.
type Retry struct {
	Attempt int
	By, Why string
}
