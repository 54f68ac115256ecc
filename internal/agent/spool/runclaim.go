package agent

import (
	"sync"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
)

// runClaim keeps other agents of this host from the run, also between two attempts. Its zero
// value holds nothing.
type runClaim struct {
	mu   sync.Mutex
	held *owner.Claim
}

// take claims the run if there may be several attempts of it; for a single one it checks whether
// another agent has claimed it, and the lock of the journal does the rest.
func (r *runClaim) take(s *spool.Spool, c Config) error {
	if c.Attempt != c.FirstAttempt {
		return nil
	}
	if r == nil {
		return s.Claimed(c.Run, c.host())
	}
	held, err := s.Claim(c.Run, c.host())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
	return err
}

// releaseLimit bounds the wait for a disk that does not answer.
const releaseLimit = time.Second

// release gives up the claim on the run.
func (r *runClaim) release() {
	r.mu.Lock()
	held := r.held
	r.held = nil
	r.mu.Unlock()
	if held == nil {
		return
	}
	bounded.Do(releaseLimit, func() { _ = held.Release() }) // a later Sweep removes what remains of it
}
