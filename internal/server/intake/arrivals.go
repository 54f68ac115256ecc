package intake

import (
	"cmp"
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
)

// mostArrivals bounds how many heartbeats are remembered that could not be stored, and
// mostRefusals of how many attempts it is remembered that their token was refused.
const (
	mostArrivals = 100_000
	mostRefusals = 1000
)

type attemptKey struct {
	run     string
	attempt int
}

// arrivals are when the last heartbeat of attempts arrived, of two kinds. Some are not stored:
// they wait for a commit, or there was no room for them, or their commit failed. The agent is not
// to blame for that, so each counts like one that is stored. Others were refused with their token.
type arrivals struct {
	mu   sync.Mutex
	most int // attempts; 0: mostArrivals
	at   map[attemptKey]time.Time
}

// add adds a heartbeat.
func (a *arrivals) add(b lease.Beat) {
	key := attemptKey{b.Run, b.Attempt}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.at[key]; !known && len(a.at) >= cmp.Or(a.most, mostArrivals) {
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
