package queue

import (
	"slices"
	"time"
)

const (
	// ClaimTime is how long a claim lasts from when it was given, or last named by its worker.
	ClaimTime = 15 * time.Second
	// workerGrace is how long after the longest end of its last request a worker counts as alive.
	workerGrace = 30 * time.Second
	// withheldAfter claims of one definition that a worker gave back or lost within withheldTime, it
	// gets no more of that definition for withheldTime.
	withheldAfter = 3
	withheldTime  = 10 * time.Minute
	// LostClaimsLimit is how many claims of an attempt may end without a start before the run ends.
	LostClaimsLimit = 5
)

// WorkerLease returns until when the name of a worker that asks at a time, and waits for the answer,
// belongs to it.
func WorkerLease(at time.Time, wait time.Duration) time.Time {
	return at.Add(max(0, wait) + workerGrace)
}

// MayHaveName reports whether a worker may have a name: a new one, its own, or one whose worker has not
// asked within its lease.
func MayHaveName(knownID string, lease time.Time, id string, now time.Time) bool {
	return knownID == "" || knownID == id || !now.Before(lease)
}

// Room returns how many claims a worker gets at most: what it says is free, and not more than its slots
// less what the server knows it has: claims, and active attempts.
func Room(slots, free, has int) int { return max(0, min(free, slots-has)) }

// WithheldUntil returns until when a worker is not offered a definition whose claims it gave back or lost
// at these times; zero if it is offered now.
func WithheldUntil(ends []time.Time, now time.Time) time.Time {
	ends = slices.SortedFunc(slices.Values(ends), time.Time.Compare)
	if len(ends) < withheldAfter {
		return time.Time{}
	}
	last := ends[len(ends)-1]
	until := last.Add(withheldTime)
	if last.Sub(ends[len(ends)-withheldAfter]) > withheldTime || !now.Before(until) {
		return time.Time{}
	}
	return until
}
