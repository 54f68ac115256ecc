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
	// sessionIdleTimeout is how long a session lasts without a request, sessionLimit how long at most.
	// Its use is stored once in sessionUseInterval, so that not every request is a write.
	sessionIdleTimeout = 12 * time.Hour
	sessionLimit       = 7 * 24 * time.Hour
	sessionUseInterval = 5 * time.Minute
)

// identifySession returns the caller of the session with a secret.
func (s *Guard) identifySession(r *http.Request, secret string) (access.Caller, error) {
	if len(secret) > 256 {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session is not valid on this server: log in again")
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
	case !now.Before(n.ExpiresAt) || !now.Before(n.CreatedAt.Add(sessionLimit)):
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session has expired: log in again")
	}
	// Agents do not log in, so a session never writes journals.
	a := access.Caller{Name: n.Who, Scope: access.Scope(n.Scope), Via: access.ViaSession}
	if n.Via == access.ViaOIDC {
		if a, err = s.oidc.identify(n); err != nil {
			return access.Caller{}, err
		}
	}
	if now.Sub(n.UsedAt) >= sessionUseInterval {
		// A request is not refused because its session could not be extended.
		if err := s.Store.TouchSession(r.Context(), hash, now, now.Add(sessionIdleTimeout)); err != nil {
			s.Log.Warn("could not store the use of a session", "who", n.Who, "error", err)
		}
	}
	return a, nil
}

// beginSession creates a session for a caller, sets its cookie, and ends the session that the browser
// had before. identity is the JSON of the person's identity at the identity provider; empty for a login
// with a token.
func (s *Guard) beginSession(w http.ResponseWriter, r *http.Request, a access.Caller, identity string) error {
	if err := s.endSession(r.Context(), r); err != nil {
		return err
	}
	now := s.Now().UTC()
	secret := access.NewSecret()
	err := s.Store.CreateSession(r.Context(), access.Session{
		Hash: access.Hash(secret), Who: a.Name, Scope: string(a.Scope), Via: a.Via, Token: a.Token, Identity: identity,
		CreatedAt: now, ExpiresAt: now.Add(sessionIdleTimeout), UsedAt: now,
	})
	if err != nil {
		return fmt.Errorf("create a session: %w", err)
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, secret, sessionLimit))
	return nil
}

// endSession ends the session of a request's cookie, if it has one.
func (s *Guard) endSession(ctx context.Context, r *http.Request) error {
	c, err := r.Cookie(s.cookieName(r, sessionCookie))
	if err != nil {
		return nil //nolint:nilerr // without a cookie there is no session
	}
	return s.Store.EndSession(ctx, access.Hash(c.Value))
}

// cookie returns a cookie that scripts cannot read and that other sites cannot send with a write. It is
// Lax and not Strict, so that a person who follows a link to a run is logged in.
func (s *Guard) cookie(r *http.Request, name, value string, maxAge time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: s.cookieName(r, name), Value: value, Path: "/", MaxAge: int(maxAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.Secure(r),
	}
}

// Secure reports whether the client uses TLS, with this server or with a proxy in front of it.
func (s *Guard) Secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.PublicURL, "https://")
}

// cookieName returns the name of a cookie. With TLS it has the prefix with which browsers accept it only
// from this host, and only over TLS.
func (s *Guard) cookieName(r *http.Request, name string) string {
	if s.Secure(r) {
		return "__Host-" + name
	}
	return name
}
