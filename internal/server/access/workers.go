package access

import (
	"context"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

// A server with workers asks everybody for a token, also on a loopback address: a client that may submit a
// command without one could run it on the hosts of the workers.

// SawWorker makes all requests need a token from now on: a worker asked from another host, or has a token.
func (s *Guard) SawWorker() { s.setWorkers(true) }

// setWorkers replaces the rule for requests without a token.
func (s *Guard) setWorkers(found bool) {
	for {
		before := s.rule.Load()
		if before.Workers == found {
			return
		}
		rule := *before
		rule.Workers = found
		if s.rule.CompareAndSwap(before, &rule) {
			return
		}
	}
}

// findWorkers reads whether a token of the scope worker is valid. An error is logged, and changes nothing.
func (s *Guard) findWorkers(ctx context.Context) {
	tokens, err := s.Store.Tokens(ctx)
	if err != nil {
		s.Log.Error("could not read whether there are tokens of workers", "error", err)
		return
	}
	now := s.Now()
	for _, t := range tokens {
		if t.Scope == string(access.Worker) && valid(t, now) {
			s.setWorkers(true)
			return
		}
	}
	if !s.polled.Load() {
		s.setWorkers(false)
	}
}

// PolledFrom records that a worker asks for runs; local reports whether from the server's own machine.
func (s *Guard) PolledFrom(local bool) {
	if !local && !s.polled.Swap(true) {
		s.SawWorker()
	}
}

func valid(t access.Token, now time.Time) bool { return t.ExpiresAt == nil || now.Before(*t.ExpiresAt) }

// checkFirstWorker refuses a token for a worker where nobody could manage the server any more: from then on
// every request needs a token.
func (s *Guard) checkFirstWorker(ctx context.Context, t access.Token) error {
	if t.Scope != string(access.Worker) || access.CallerOf(ctx).Via != access.ViaNone || s.oidc != nil || s.rule.Load().Everybody {
		return nil
	}
	tokens, err := s.Store.Tokens(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	for _, other := range tokens {
		if other.Scope == string(access.Admin) && valid(other, now) {
			return nil
		}
	}
	return httpio.NewProblem(http.StatusConflict, "a server that has a token for a worker requires a token from everybody, and this one has none of the scope admin: "+
		"create one first (stint token create --scope admin --name NAME), and store it")
}
