package outbox

import (
	"time"

	"stint.dev/stint/job"
)

// End is the end of a run of a job, with what decides whether a failure has passed.
type End struct {
	Run     string
	Attempt int
	Number  int64
	State   job.State
	KnownAt time.Time // when the server learned of it
	Late    bool      // it was delivered late and is not reported yet
}

// OpenFailures returns the bad ends that have not passed, of runs of one job in the order of their starts, the last one first. A
// failure has passed if a run that started later succeeded, and the success became known no earlier than the failure.
// passed is when the last success became known of the runs that started after all of these. Ends that are not reported yet
// are ignored.
func OpenFailures(ends []End, passed time.Time) []End {
	var open []End
	for _, e := range ends {
		switch {
		case e.Late:
		case e.State == job.Succeeded:
			if e.KnownAt.After(passed) {
				passed = e.KnownAt
			}
		case e.State.EndedBadly() && e.KnownAt.After(passed):
			open = append(open, e)
		}
	}
	return open
}

// Arrival is how an end became known, compared with its time and with the ends of later
// runs of the job.
type Arrival int

// The zero value is an end with a usual notification.
const (
	// InTime is an end that became known when it happened.
	InTime Arrival = iota
	// Overtaken is a bad end that became known when it happened, but after the success of a run
	// that started later, while this one ran. It is an alarm: the runs of a job may do different
	// work, as those of a sweep do, and nobody may have seen this failure. It is one that has
	// passed: it is not repeated.
	Overtaken
	// DeliveredLate is an end that became known long after it happened, or a bad one that became
	// known after the success of a run that started when this one had ended. It is no alarm by
	// itself: it is reported with what else its host delivers.
	DeliveredLate
)

// ArrivalOf returns how an end became known. Ended is when the run ended, on the server's clock; zero
// if it ends now. Followed: a run of the job that started later has succeeded; passed: one that
// started when this one had ended.
func ArrivalOf(ended, known time.Time, state job.State, followed, passed bool) Arrival {
	switch {
	case !ended.IsZero() && known.Sub(ended) >= job.LateAfter, state.EndedBadly() && passed:
		return DeliveredLate
	case state.EndedBadly() && followed:
		return Overtaken
	}
	return InTime
}

// OvertakenEntry returns the entry of the event late for a failure that is overtaken.
func OvertakenEntry(run *job.Run, now time.Time) Entry {
	return Entry{
		Kind: Notify, Run: run.ID, Attempt: run.Attempt, What: WhatLate, Severity: Info,
		Message: "A run of the job that started later had succeeded before.", At: now,
	}
}
