// Package lease has the rules of how long an attempt is trusted: heartbeats and their evidence, the lease of an active run,
// the end of its connection, and verdicts on it. It is pure.
package lease

import (
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// Beat is one heartbeat to record.
type Beat struct {
	Run       string
	Attempt   int
	Heartbeat job.Heartbeat
	At        time.Time     // the server's clock
	Lease     time.Duration // how long this beat is trusted
	// Incarnation is that of the process whose token of the attempt the sender has; empty for any other sender.
	Incarnation string
}

// BeatResult is the result of one Beat of a group.
type BeatResult struct {
	Known  bool // the run exists; without it the first append has not arrived, which is not an error
	Owner  bool // no newer attempt owns the run
	Ended  bool // the run has its outcome
	Cancel *job.Cancel
	Retry  *outbox.RetryRequest // the agent waits, and is asked for another attempt
	// Run and Events are set only if the heartbeat changed the run: a lost one is active again, or it was
	// suspended or resumed.
	Run    *job.Run
	Events []job.RunEvent
	Err    error
}

// Lease is an active run and how long its agent is trusted.
type Lease struct {
	Run         string
	Attempt     int
	Owner       string // the token that the run belongs to; empty for none
	Job         string
	Number      int64
	StartAt     time.Time
	State       job.State
	Health      job.Health
	Findings    []job.Finding
	ReportedAt  time.Time     // server's clock at the last heartbeat or append
	Length      time.Duration // of the lease that it granted
	ExpiresAt   time.Time     // ReportedAt + Length
	EveryPeriod time.Duration // the period of the agent's heartbeats
	// Closed is the end of the connection of its heartbeats, as another server noted it.
	Closed Closure
	// Beat is the last heartbeat and BeatAt when it arrived; nil before the first. Status is
	// the one that the job set last.
	Beat   *job.Heartbeat
	BeatAt time.Time
	Status string
	// Evidence is the evidence that was stored last.
	Evidence Evidence
}

// LiveAgent is an active attempt and its last heartbeat.
type LiveAgent struct {
	Run    string
	Host   string
	BeatAt time.Time     // the server's clock; zero before the first
	Beat   job.Heartbeat // zero before the first
}

// Verdict is the monitor's judgement of one run.
type Verdict struct {
	Run        string
	Attempt    int
	ReportedAt time.Time // of the Lease that was judged
	At         time.Time
	Lost       bool // the lease has expired: apply job.LeaseExpired
	Waiting    bool // it is on a run that waits in the queue, and shows the attempt before; then ReportedAt is zero
	// Disconnected reports of a lost run that its agent's side closed the connection.
	Disconnected bool
	Findings     []job.Finding
	Health       job.Health
	Evidence     string
	// Outbox are the notifications and actions, which are stored with the verdict if that is applied.
	Outbox []outbox.Entry
}

// VerdictResult is a run that a verdict has changed, with its events.
type VerdictResult struct {
	Run    job.Run
	Events []job.RunEvent
}
