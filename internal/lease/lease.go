// Package lease says how long an attempt is trusted: heartbeats and what they show, the lease of an
// active run, the end of its connection, and verdicts on it. It is pure.
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
}

// BeatResult answers one Beat of a group.
type BeatResult struct {
	Known  bool // false: no append has created the run yet, which is not an error
	Owner  bool // false: a newer attempt owns the run
	Ended  bool // the run has its outcome
	Cancel *job.Cancel
	Retry  *outbox.RetryRequest // the agent waits, and is asked for another attempt
	// Run and Events are set only when the beat changed the run: a lost one healed, or it
	// was suspended or resumed.
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
	EveryPeriod time.Duration // how often the agent means to beat
	// Closed is what another server saw of the end of the connection of its heartbeats.
	Closed Closure
	// Beat is the last heartbeat and BeatAt when it arrived; nil before the first. Status is
	// the one that the job set last.
	Beat   *job.Heartbeat
	BeatAt time.Time
	Status string
	// Evidence is what was last stored of it.
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
	// Disconnected reports of a lost run that its agent's side closed the connection.
	Disconnected bool
	Findings     []job.Finding
	Health       job.Health
	Evidence     string
	// Outbox is whom to notify and what to do. It is stored together with the verdict, and only
	// if that is applied.
	Outbox []outbox.Entry
}

// VerdictResult is a run that a verdict changed, and how.
type VerdictResult struct {
	Run    job.Run
	Events []job.RunEvent
}
