package spool

import (
	"sync"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/spool/owner"
)

// RunClaim keeps other agents of this host from a run, also between two attempts. Its zero value
// holds nothing.
type RunClaim struct {
	mu   sync.Mutex
	held *owner.Claim
}

// Take claims a run that may have several attempts. Of a run with a single one, which has no
// RunClaim, it checks that no other agent has claimed it; the lock of the journal does the rest.
func (r *RunClaim) Take(s *Spool, run string, host owner.Host) error {
	if r == nil {
		return s.Claimed(run, host)
	}
	held, err := s.Claim(run, host)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
	return err
}

// releaseLimit bounds the wait for a disk that does not answer.
const releaseLimit = time.Second

// Release gives up the claim on the run.
func (r *RunClaim) Release() {
	r.mu.Lock()
	held := r.held
	r.held = nil
	r.mu.Unlock()
	if held == nil {
		return
	}
	bounded.Do(releaseLimit, func() { _ = held.Release() }) // a later Sweep removes what remains of it
}
