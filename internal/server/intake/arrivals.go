package intake

import (
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
)

// mostArrivals bounds how many heartbeats are remembered that could not be stored.
const mostArrivals = 100_000

type attemptKey struct {
	run     string
	attempt int
}

// arrivals are when heartbeats arrived that are not stored: they wait for a commit, or there was no
// room for them, or their commit failed. The agent is not to blame for that, so each counts like one
// that is stored.
type arrivals struct {
	mu sync.Mutex
	at map[attemptKey]time.Time
}

// add adds a heartbeat of a client that may write to the run.
func (a *arrivals) add(b lease.Beat) {
	key := attemptKey{b.Run, b.Attempt}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.at[key]; !known && len(a.at) >= mostArrivals {
		for other := range a.at { // at random
			delete(a.at, other)
			break
		}
	}
	if b.At.After(a.at[key]) {
		a.at[key] = b.At
	}
}

// stored forgets a heartbeat, and those that came before it.
func (a *arrivals) stored(b lease.Beat) {
	key := attemptKey{b.Run, b.Attempt}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.at[key].After(b.At) {
		delete(a.at, key)
	}
}

// last returns when the last heartbeat of an attempt arrived that is not stored; zero for
// none.
func (a *arrivals) last(run string, attempt int) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[attemptKey{run, attempt}]
}
