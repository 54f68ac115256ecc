package queue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stint.dev/stint/job"
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

// LeaseAhead is how much longer the lease in the row of a worker is than the real one, so that its requests need not
// write the row: the server that it asks knows better. Another server finds out by as much later that a worker is gone
// if the server that it asked is gone too.
const LeaseAhead = 5 * time.Minute

// LongestLease returns the latest end of the lease of a worker that has asked by now.
func LongestLease(now time.Time) time.Time { return WorkerLease(now, maxWait) }

// WorkerLease returns until when the name of a worker that asks at a time, and waits for the answer,
// belongs to it.
func WorkerLease(at time.Time, wait time.Duration) time.Time {
	return at.Add(max(0, wait) + workerGrace)
}

// NameTakenError is the error of a worker that asks under the name of another one, which is alive.
type NameTakenError struct {
	Worker, Host string
	Until        time.Time
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the name %s belongs to a worker on host %s, which has another state directory: choose another name, or stop that worker and wait until %s",
		job.Quote(e.Worker), job.Quote(e.Host), job.TimeText(e.Until))
}

// MayHaveName reports whether a worker may have a name: a new one, its own, or one whose worker has not
// asked within its lease.
func MayHaveName(knownID string, lease time.Time, id string, now time.Time) bool {
	return knownID == "" || knownID == id || !now.Before(lease) || lease.After(LatestLeaseEnd(now))
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

// EndedClaimsWindow is how long the end of a claim matters for WithheldUntil.
const EndedClaimsWindow = 2 * withheldTime

// Limits of a request for runs.
const (
	// MostClaims is how many runs one answer gives at most.
	MostClaims   = 64
	maxSlots     = 10_000
	maxNames     = 1000 // of jobs
	maxWait      = time.Minute
	maxTextBytes = 200
)

// CheckClaim returns what is wrong with a request of a worker for runs.
func CheckClaim(worker string, r job.ClaimRequest) error {
	if err := job.CheckWorker(worker); err != nil {
		return err
	}
	for what, text := range map[string]string{"claim_id": r.ClaimID, "worker_id": r.WorkerID, "host": r.Host} {
		if text == "" {
			return &job.InvalidError{What: what, Value: text, Why: "is missing"}
		}
	}
	for what, text := range map[string]string{"claim_id": r.ClaimID, "worker_id": r.WorkerID, "host": r.Host, "version": r.Version} {
		if len(text) > maxTextBytes || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return &job.InvalidError{What: what, Value: text, Why: fmt.Sprintf("must be printable text of at most %d bytes", maxTextBytes)}
		}
	}
	for what, n := range map[string]int{
		"slots": r.Slots, "free": r.Free, "starting": len(r.Starting), "running": len(r.Running), "specs": len(r.Specs),
	} {
		if n < 0 || n > maxSlots {
			return &job.InvalidError{What: what, Value: strconv.Itoa(n), Why: fmt.Sprintf("must be from 0 to %d", maxSlots)}
		}
	}
	if r.MemoryBytes < 0 {
		return &job.InvalidError{What: "memory_bytes", Value: strconv.FormatInt(r.MemoryBytes, 10), Why: "is less than 0"}
	}
	if r.WaitMS < 0 || r.WaitMS > maxWait.Milliseconds() {
		return &job.InvalidError{What: "wait_ms", Value: strconv.FormatInt(r.WaitMS, 10), Why: fmt.Sprintf("must be from 0 to %d", maxWait.Milliseconds())}
	}
	if len(r.Labels) > job.MaxLabels || len(r.Allow) > maxNames {
		return &job.InvalidError{What: "labels and allow", Why: fmt.Sprintf("there may be %d labels and %d jobs", job.MaxLabels, maxNames)}
	}
	for key, value := range r.Labels {
		if err := job.CheckLabel(key, value); err != nil {
			return err
		}
	}
	for _, name := range r.Allow {
		if err := job.CheckName(name); err != nil {
			return err
		}
	}
	return nil
}
