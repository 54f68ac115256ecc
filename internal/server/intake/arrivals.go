package intake

import (
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
)

// maxArrivals is of how many attempts a heartbeat is remembered that is not stored.
const maxArrivals = 100_000

type attemptKey struct {
	run     string
	attempt int
}

// arrivals records, for each attempt, when the last heartbeat arrived that is not stored, because it waits
// for a commit, found the queue full, or its commit failed. It counts like a stored one, because its agent
// is alive.
type arrivals struct {
	mu sync.Mutex
	at map[attemptKey]time.Time
}

// add records a heartbeat of a client that may write to the run.
func (a *arrivals) add(b lease.Beat) {
	key := attemptKey{b.Run, b.Attempt}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.at[key]; !known && len(a.at) >= maxArrivals {
		for other := range a.at { // a random one
			delete(a.at, other)
			break
		}
	}
	if b.At.After(a.at[key]) {
		a.at[key] = b.At
	}
}

// remove removes a heartbeat, because it is stored, and earlier ones of its attempt.
func (a *arrivals) remove(b lease.Beat) {
	key := attemptKey{b.Run, b.Attempt}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at[key].After(b.At) {
		delete(a.at, key)
	}
}

// last returns when the last recorded heartbeat of an attempt arrived; zero for none.
func (a *arrivals) last(run string, attempt int) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[attemptKey{run, attempt}]
}
