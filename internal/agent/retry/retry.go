// Package retry decides whether an attempt is followed by another one of the same run, and when.
package retry

import (
	"time"

	"stint.dev/stint/job"
)

// backoffLimit bounds the pause between two attempts, unless a longer one was asked for.
const backoffLimit = time.Hour

// Policy says whether an attempt that failed is followed by another one of the same run. Each
// attempt has a journal of its own, and its number fences it: the server takes attempt 2 only
// when attempt 1 has ended there.
type Policy struct {
	// Most is how many further attempts the agent makes by itself.
	Most int
	// Backoff is the pause before the first of them; it doubles with each.
	Backoff time.Duration
	// Wait is how long the agent waits, after its last attempt failed, for a request for
	// another one.
	Wait time.Duration
}

// Possible reports whether there may be a further attempt.
func (p Policy) Possible() bool { return p.Most > 0 || p.Wait > 0 }

// At returns when the next attempt begins by itself after an outcome; zero if none does. done
// is how many retries were made.
func (p Policy) At(o job.Outcome, done int, now time.Time) time.Time {
	if o.State != job.Failed && o.State != job.TimedOut || o.Reason == job.CouldNotStart || done >= p.Most {
		return time.Time{}
	}
	return now.Add(backoffAfter(p.Backoff, done))
}

// backoffAfter returns the pause after a number of retries.
func backoffAfter(first time.Duration, done int) time.Duration {
	most := max(first, backoffLimit)
	for range done {
		if first >= most/2 {
			return most
		}
		first *= 2
	}
	return first
}

// Until returns until when another attempt may come after an outcome: by itself (RetryAt), or
// because it is requested; zero if there is none. reachable reports whether a server can request it.
func (p Policy) Until(o job.Outcome, reachable bool, now time.Time) time.Time {
	switch {
	case o.RetryAt != nil:
		return *o.RetryAt
	case p.Wait > 0 && reachable && mayBeRequested(o):
		return now.Add(p.Wait)
	}
	return time.Time{}
}

// mayBeRequested reports whether a retry of the attempt may be requested. One that was
// superseded, or whose agent was asked to end, is over.
func mayBeRequested(o job.Outcome) bool {
	switch o.State {
	case job.Failed, job.TimedOut:
		return true
	case job.Canceled:
		return o.Reason == job.ByCancel
	}
	return false
}

// StartText returns when the next attempt begins that is due after a pause: "now", or "in 10s".
func StartText(pause time.Duration) string {
	if pause = pause.Round(time.Second); pause > 0 {
		return "in " + job.DurationText(pause)
	}
	return "now"
}
