package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server/httpio"
)

// A token of the scope agent may write only to its own runs, so that a token that leaks from one
// machine cannot forge the runs of another. A token of the scope admin may write to all runs.

// Claim returns an error unless the caller of a request may write to a run. The first token that writes
// to a new run owns it; if the owner is revoked or expires, the next token that writes owns it. A run
// that was created without a token of the scope agent has no owner and gets none.
func (s *Guard) Claim(ctx context.Context, run string) error {
	a := access.CallerOf(ctx)
	if a.Token == "" || !a.IsAgent() || s.owners.Has(run, a.Token) {
		return nil
	}
	owner, err := s.Store.AssignOwner(ctx, run, a.Token, s.Now())
	var submitted *index.SubmittedError
	if errors.As(err, &submitted) {
		return err
	}
	if err != nil {
		return fmt.Errorf("read the owner of run %s: %w", run, err)
	}
	if owner == "" {
		return httpio.NewProblem(http.StatusForbidden,
			"the run %s was not started with a token of the scope agent, so only a token of the scope admin may write to it: deliver its journal with STINT_TOKEN=… stint flush", run)
	}
	if owner != a.Token {
		return httpio.NewProblem(http.StatusForbidden, "the run %s was started with another token, and a token of the scope agent may write only to its own runs", run)
	}
	s.owners.Put(run, a.Token)
	return nil
}
