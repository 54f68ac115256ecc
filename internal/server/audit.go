package server

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

// statusWriter remembers the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handleAudited is a handler whose request goes into the audit log, with its result.
func (s *Server) handleAudited(rt route.Row, h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	sw := &statusWriter{ResponseWriter: w}
	h(sw, r)
	// Not the request's context: it ends with the client, and what was done is written down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), readyTime)
	defer cancel()
	s.audit(r.WithContext(ctx), access.CallerOf(ctx), rt.Key(), sw.status)
}

type auditIn struct {
	Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most entries to return"`
	Cursor int64 `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type auditPage struct {
	Entries    []access.AuditEntry `json:"entries"`
	NextCursor int64               `json:"next_cursor,omitempty" doc:"Pass it as cursor for older entries; not there on the last page"`
}

// listAudit returns what people changed, newest first.
func (s *Server) listAudit(ctx context.Context, in *auditIn) (*route.Answer[auditPage], error) {
	entries, err := s.store.AuditLog(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, s.internal(ctx, "read the audit log", err)
	}
	page := auditPage{Entries: entries}
	if len(entries) == in.Limit {
		page.NextCursor = entries[len(entries)-1].ID
	}
	return route.OK(page)
}

// tokensAnswer lists tokens without their secrets, which nobody knows any more.
type tokensAnswer struct {
	Tokens []access.Token `json:"tokens"`
}

func (s *Server) listTokens(ctx context.Context, _ *struct{}) (*route.Answer[tokensAnswer], error) {
	s.writeUses(ctx, math.MaxInt) // so that the list is up to date
	tokens, err := s.store.Tokens(ctx)
	if err != nil {
		return nil, s.internal(ctx, "list tokens", err)
	}
	return route.OK(tokensAnswer{tokens})
}

type createTokenIn struct {
	Body struct {
		Name           string  `json:"name" doc:"What the token is for"`
		Scope          string  `json:"scope" enum:"agent,read,write,admin"`
		ExpiresSeconds float64 `json:"expires_seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"How long it is valid; 0 for ever"`
	}
}

// createdToken is the only answer that holds a secret.
type createdToken struct {
	Secret string `json:"token" doc:"The secret. It is shown this once"`
	access.Token
}

func (s *Server) createToken(ctx context.Context, in *createTokenIn) (*route.Answer[createdToken], error) {
	now := s.now()
	var expires time.Time
	if sec := in.Body.ExpiresSeconds; sec > 0 {
		expires = now.Add(time.Duration(sec * float64(time.Second)))
	}
	secret, t, err := access.NewToken(in.Body.Name, access.Scope(in.Body.Scope), expires, now)
	if err == nil {
		err = s.store.CreateToken(ctx, t)
	}
	if err != nil {
		return nil, s.internal(ctx, "create a token", err)
	}
	return route.OK(createdToken{secret, t})
}

type revokeTokenIn struct {
	ID string `path:"id" doc:"The token's id"`
}

// revokeToken makes a token invalid. Other servers on the same database may remember it
// for a few seconds more.
func (s *Server) revokeToken(ctx context.Context, in *revokeTokenIn) (*struct{}, error) {
	if _, err := uuid.Parse(in.ID); err != nil {
		return nil, httpio.NewProblem(http.StatusNotFound, "there is no token %s", job.Quote(in.ID))
	}
	if err := s.store.RevokeToken(ctx, in.ID); err != nil {
		return nil, s.internal(ctx, fmt.Sprintf("revoke token %s", in.ID), err)
	}
	s.tokens.Forget(in.ID)
	if s.cfg.TokenRevoked != nil {
		s.cfg.TokenRevoked(ctx)
	}
	return nil, nil //nolint:nilnil // huma answers 204
}
