package queue

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// What a run depends on of another one.
const (
	WhenSucceeded = "succeeded"
	WhenEnded     = "ended"
	WhenFailed    = "failed"
)

// Dependency is the state of a dependency.
type Dependency int

// The states of a dependency.
const (
	Waiting    Dependency = iota // the other run has not ended
	Met                          // it does not delay the run any more
	Impossible                   // it can never be met: the run ends
)

// Judge returns the state of a dependency on a run in a state; "" is a run that was deleted. Lost
// is an end: the run may report again.
func Judge(when string, state job.State) Dependency {
	met := false
	switch {
	case state == "": // it had ended, and how is not known any more
		met = when == WhenEnded
	case !state.Terminal():
		return Waiting
	case when == WhenEnded:
		met = true
	case when == WhenSucceeded:
		met = state == job.Succeeded
	case when == WhenFailed:
		met = state.EndedBadly()
	}
	if met {
		return Met
	}
	return Impossible
}

// Why is the reason of a run that ended because a dependency can never be met.
func Why(d job.Dependency, state job.State) string {
	if state == "" {
		return fmt.Sprintf("dependency failed: run %s was deleted, and had to be %s first", d.Run, d.When)
	}
	return fmt.Sprintf("dependency failed: run %s is %s, and had to be %s first", d.Run, state, d.When)
}

// Expired is the reason of a run that ended because it did not start in time.
const Expired = "expired"

// StartBy returns the time by which a run must have started; nil for no limit. It counts from the
// time from which the run may start.
func StartBy(now time.Time, notBefore *time.Time, within time.Duration) *time.Time {
	if within <= 0 {
		return nil
	}
	if notBefore != nil && notBefore.After(now) {
		now = *notBefore
	}
	by := now.Add(within)
	return &by
}

// Ceilings of the queue: beyond them, submissions are refused.
const (
	MaxQueued      = 100_000
	MaxQueuedOfJob = 10_000
)

// FullError is the error of a submission to a full queue.
type FullError struct {
	Job   string // empty if the whole queue is full
	Limit int64
}

func (e *FullError) Error() string {
	if e.Job == "" {
		return fmt.Sprintf("the queue is full: %d runs wait: submit again when fewer do", e.Limit)
	}
	return fmt.Sprintf("the queue is full for job %s: %d of its runs wait: submit again when fewer do", job.Quote(e.Job), e.Limit)
}

// CheckRoom returns *FullError if no run of a job can join a queue in which so many runs wait, in
// all and of the job.
func CheckRoom(name string, all, ofJob int64) error {
	switch {
	case all >= MaxQueued:
		return &FullError{Limit: MaxQueued}
	case ofJob >= MaxQueuedOfJob:
		return &FullError{Job: name, Limit: MaxQueuedOfJob}
	}
	return nil
}
