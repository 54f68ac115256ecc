package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
)

const (
	sessionCookie = "stint_session"
	// sessionIdle is how long a session lasts without a request, sessionLife how long in
	// all. Writing down each use would make every view of the page a write, so it is
	// done once in sessionTouch.
	sessionIdle  = 12 * time.Hour
	sessionLife  = 7 * 24 * time.Hour
	sessionTouch = 5 * time.Minute
)

// identifySession finds out whose session a cookie names.
func (s *Guard) identifySession(r *http.Request, secret string) (access.Caller, error) {
	if len(secret) > 256 {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session is not known here: log in again")
	}
	now := s.Now()
	hash := access.Hash(secret)
	n, err := s.Store.SessionByHash(r.Context(), hash)
	var notFound *query.NotFoundError
	switch {
	case errors.As(err, &notFound):
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session has ended: log in again")
	case err != nil:
		return access.Caller{}, fmt.Errorf("look up session: %w", err)
	case !now.Before(n.ExpiresAt) || !now.Before(n.CreatedAt.Add(sessionLife)):
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session has expired: log in again")
	}
	// Agents do not log in, so a session never writes journals.
	a := access.Caller{Name: n.Who, Scope: access.Scope(n.Scope), Via: access.ViaSession}
	if n.Via == access.ViaOIDC {
		if a, err = s.oidc.identify(n); err != nil {
			return access.Caller{}, err
		}
	}
	if now.Sub(n.UsedAt) >= sessionTouch {
		// A request is not refused because its session could not be made longer.
		if err := s.Store.TouchSession(r.Context(), hash, now, now.Add(sessionIdle)); err != nil {
			s.Log.Warn("could not note that a session was used", "who", n.Who, "error", err)
		}
	}
	return a, nil
}

// beginSession logs somebody in and hands their browser the cookie. A session that the
// browser had ends. identity is what the identity provider says of the person; empty for
// a login with a token.
func (s *Guard) beginSession(w http.ResponseWriter, r *http.Request, a access.Caller, identity string) error {
	if err := s.endSession(r.Context(), r); err != nil {
		return err
	}
	now := s.Now().UTC()
	secret := access.NewSecret()
	err := s.Store.CreateSession(r.Context(), access.Session{
		Hash: access.Hash(secret), Who: a.Name, Scope: string(a.Scope), Via: a.Via, Token: a.Token, Identity: identity,
		CreatedAt: now, ExpiresAt: now.Add(sessionIdle), UsedAt: now,
	})
	if err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, secret, sessionLife))
	return nil
}

// endSession ends the session of a request's cookie, if it has one.
func (s *Guard) endSession(ctx context.Context, r *http.Request) error {
	c, err := r.Cookie(s.cookieName(r, sessionCookie))
	if err != nil {
		return nil //nolint:nilerr // no cookie, no session
	}
	return s.Store.EndSession(ctx, access.Hash(c.Value))
}

// cookie makes a cookie that scripts cannot read and other sites cannot send along with a
// write. Lax and not Strict: a link in a chat to a run must find the person logged in.
func (s *Guard) cookie(r *http.Request, name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: s.cookieName(r, name), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.Secure(r),
	}
}

// Secure reports whether the browser speaks TLS, with the server or with a proxy before it.
func (s *Guard) Secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.PublicURL, "https://")
}

// cookieName is what a cookie is called: under TLS so that browsers take it only from this
// very host, and only over TLS.
func (s *Guard) cookieName(r *http.Request, name string) string {
	if s.Secure(r) {
		return "__Host-" + name
	}
	return name
}
