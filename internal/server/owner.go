package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"stint.dev/stint/internal/access"
)

// A token with the scope agent may write only to runs that it began: a token that leaks
// from one machine cannot forge the runs of another. Who may administer may write to any.

// ownership remembers which token owns which run, so that not every append asks the
// database.
type ownership struct {
	mu    sync.Mutex
	known map[string]string // run to token, only of runs seen lately
}

const ownersKnown = 20_000

func newOwnership() *ownership { return &ownership{known: map[string]string{}} }

func (o *ownership) holds(run, token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[run] == token
}

func (o *ownership) remember(run, token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) >= ownersKnown {
		clear(o.known)
	}
	o.known[run] = token
}

// own makes sure that who sent a request may write to a run. The first token that writes
// to a run owns it; an owner that was revoked or expired gives it to the next.
func (s *Server) own(ctx context.Context, run string) error {
	a := actorOf(ctx)
	if a.token == "" || a.scope != access.Agent || s.owners.holds(run, a.token) {
		return nil
	}
	owner, err := s.store.ClaimRun(ctx, run, a.token, s.now())
	if err != nil {
		return fmt.Errorf("look up who began run %s: %w", run, err)
	}
	if owner != a.token {
		return newProblem(http.StatusForbidden, "the run %s was begun with another token, and an agent's token writes only to its own runs", run)
	}
	s.owners.remember(run, a.token)
	return nil
}
