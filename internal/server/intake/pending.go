package intake

import (
	"context"
	"sync"
	"time"
)

// pendingRequests are requests of agents that wait for the database to return their token or run.
// Each counts like a heartbeat that arrived, because a slow database says nothing about the agent.
// One that is refused does not count any longer.
type pendingRequests struct {
	mu sync.Mutex
	at map[attemptKey]pendingRequest
}

// pendingRequest describes the pending requests of an attempt.
type pendingRequest struct {
	last time.Time // when the last of them arrived
	n    int       // how many there are
}

// begin adds a request that arrived at a time. end removes it.
func (p *pendingRequests) begin(run string, attempt int, at time.Time) (end func()) {
	key := attemptKey{run, attempt}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[attemptKey]pendingRequest{}
	}
	p.at[key] = pendingRequest{at, p.at[key].n + 1}
	return func() { p.end(key) }
}

func (p *pendingRequests) end(key attemptKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.at[key]
	if of.n--; of.n > 0 {
		p.at[key] = of
		return
	}
	delete(p.at, key)
}

// last returns when the last pending request of an attempt arrived; zero for none.
func (p *pendingRequests) last(run string, attempt int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[attemptKey{run, attempt}].last
}

// claimAttempt calls Claim, and records meanwhile that a request of the attempt is pending.
func (s *Intake) claimAttempt(ctx context.Context, run string, attempt int) error {
	defer s.Pending(run, attempt)()
	return s.Claim(ctx, run)
}
