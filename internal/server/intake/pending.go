package intake

import (
	"context"
	"sync"
	"time"
)

// pendingRequests are requests of agents that the server has received and not yet let in, because
// the database is asked for their token or their run. While it is slow, the agent is not to blame,
// so each counts like a heartbeat that arrived. One that is refused counts no longer.
type pendingRequests struct {
	mu sync.Mutex
	at map[attemptKey]pendingRequest
}

// pendingRequest is when the last of the pending requests of an attempt came, and how many there are.
type pendingRequest struct {
	last time.Time
	n    int
}

// begin adds a request that came at a time, until end is called.
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
	one := p.at[key]
	if one.n--; one.n > 0 {
		p.at[key] = one
		return
	}
	delete(p.at, key)
}

// last returns when the last pending request of an attempt came; zero for none.
func (p *pendingRequests) last(run string, attempt int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at[attemptKey{run, attempt}].last
}

// claimAttempt is Claim for a request by which the agent of an attempt is known to live.
func (s *Intake) claimAttempt(ctx context.Context, run string, attempt int) error {
	defer s.Pending(run, attempt)()
	return s.Claim(ctx, run)
}
