package access

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// tokensAnswer lists tokens. The server stores no secrets.
type tokensAnswer struct {
	Tokens []access.Token `json:"tokens"`
}

// ListTokens lists tokens, without their secrets.
func (s *Guard) ListTokens(ctx context.Context, _ *struct{}) (*route.Response[tokensAnswer], error) {
	s.storeUses(ctx, math.MaxInt) // so that the list is up to date
	tokens, err := s.Store.Tokens(ctx)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list tokens", err)
	}
	return route.OK(tokensAnswer{tokens})
}

type createTokenIn struct {
	Body struct {
		Name           string  `json:"name" doc:"What the token is for"`
		Scope          string  `json:"scope" enum:"agent,read,write,author,admin,worker,ping"`
		ExpiresSeconds float64 `json:"expires_seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"How long it is valid; 0 for ever"`
		// Of a token of the scope worker.
		Worker string            `json:"worker,omitempty" maxLength:"600" doc:"Of the scope worker: the name of the worker that it is for"`
		Labels map[string]string `json:"labels,omitempty" doc:"Of the scope worker: the labels that the worker may have"`
	}
}

// createdToken is the only response that contains a secret.
type createdToken struct {
	Secret string `json:"token" doc:"The secret. It is shown only here"`
	access.Token
}

// CreateToken creates a token and responds with its secret, which is not stored.
func (s *Guard) CreateToken(ctx context.Context, in *createTokenIn) (*route.Response[createdToken], error) {
	now := s.Now()
	var expires time.Time
	if sec := in.Body.ExpiresSeconds; sec > 0 {
		expires = now.Add(time.Duration(sec * float64(time.Second)))
	}
	secret, t, err := access.NewToken(in.Body.Name, access.Scope(in.Body.Scope), expires, now)
	if err == nil {
		err = t.SetWorker(in.Body.Worker, in.Body.Labels)
	}
	if err == nil {
		err = s.checkFirstWorker(ctx, t)
	}
	if err == nil {
		err = s.Store.CreateToken(ctx, t)
	}
	if err != nil {
		return nil, s.ProblemOf(ctx, "create a token", err)
	}
	if t.Scope == string(access.Worker) {
		s.SawWorker()
	}
	return route.OK(createdToken{secret, t})
}

type revokeTokenIn struct {
	ID string `path:"id" doc:"The token's id"`
}

// RevokeToken revokes a token. Other servers on the same database may accept it for a few seconds more.
func (s *Guard) RevokeToken(ctx context.Context, in *revokeTokenIn) (*struct{}, error) {
	if _, err := uuid.Parse(in.ID); err != nil {
		return nil, httpio.NewProblem(http.StatusNotFound, "there is no token %s", job.Quote(in.ID))
	}
	if err := s.Store.RevokeToken(ctx, in.ID); err != nil {
		return nil, s.ProblemOf(ctx, fmt.Sprintf("revoke token %s", in.ID), err)
	}
	s.tokens.Delete(in.ID)
	s.findWorkers(ctx)
	if s.TokenRevoked != nil {
		s.TokenRevoked(ctx)
	}
	return nil, nil //nolint:nilnil // huma responds with 204
}
