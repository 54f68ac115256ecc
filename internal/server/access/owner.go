package access

import (
	"context"
	"fmt"
	"net/http"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

// A token with the scope agent may write only to runs that it began: a token that leaks
// from one machine cannot forge the runs of another. Who may administer may write to any.

// Claim makes sure that who sent a request may write to a run. The first token that writes
// to a new run owns it; an owner that was revoked or expired gives it to the next. A run
// that was begun without a token of the scope agent has no owner and gets none.
func (s *Guard) Claim(ctx context.Context, run string) error {
	a := access.CallerOf(ctx)
	if a.Token == "" || a.Scope != access.Agent || s.owners.Has(run, a.Token) {
		return nil
	}
	owner, err := s.Store.AssignOwner(ctx, run, a.Token, s.Now())
	if err != nil {
		return fmt.Errorf("look up who began run %s: %w", run, err)
	}
	if owner == "" {
		return httpio.NewProblem(http.StatusForbidden,
			"the run %s was not begun with a token of the scope agent, so only one of the scope admin writes to it: deliver its journal with STINT_TOKEN=… stint flush", run)
	}
	if owner != a.Token {
		return httpio.NewProblem(http.StatusForbidden, "the run %s was begun with another token, and an agent's token writes only to its own runs", run)
	}
	s.owners.Put(run, a.Token)
	return nil
}
