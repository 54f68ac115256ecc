package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// OIDC configures an identity provider through which people log in (OpenID Connect Core 1.0, with
// the authorization code flow and PKCE). The zero value is none.
type OIDC struct {
	Issuer       string // the address of the provider, as in its tokens
	ClientID     string
	ClientSecret string
	// Grants assign scopes: "ada@example.org=admin", "@example.org=read", "group:ops=write". A person
	// whom several match gets the widest scope; a person whom none matches cannot log in.
	Grants []string
}

// provider is the identity provider. Its endpoints and keys are read at the first login, so that a
// server can start while the provider is not available.
type provider struct {
	cfg    OIDC
	public string // the address of this server for people
	grants access.Grants

	turn     chan struct{} // holds one token while the following fields are read or changed
	known    *oidc.Provider
	failure  error     // of the last discovery; nil if it succeeded
	failedAt time.Time // when that discovery failed
}

const (
	providerTimeout = 15 * time.Second
	// providerRetryDelay is how long after a failed discovery there is no other one.
	providerRetryDelay = 5 * time.Second
	loginTimeout       = 10 * time.Minute
	loginCookie        = "stint_login"
)

// newProvider returns the provider of a configuration; nil if it has none.
func newProvider(cfg OIDC, public string) (*provider, error) {
	if cfg.Issuer == "" {
		return nil, nil //nolint:nilnil // there is no provider
	}
	if u, err := url.Parse(cfg.Issuer); err != nil || u.Scheme != "https" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
		return nil, &job.InvalidError{What: "OIDC issuer", Value: cfg.Issuer, Why: "is not an https address"}
	}
	if cfg.ClientID == "" || public == "" || len(cfg.Grants) == 0 {
		return nil, errors.New("logins through OIDC need the client id, the public address of the server and at least one grant: --oidc-client-id, --public-url, --oidc-grant")
	}
	p := &provider{cfg: cfg, public: strings.TrimRight(public, "/"), turn: make(chan struct{}, 1)}
	var err error
	if p.grants, err = access.ParseGrants(cfg.Grants); err != nil {
		return nil, err
	}
	return p, nil
}

// discover returns the provider's endpoints and keys. One request at a time waits for the provider, and
// the others for that one, until ctx ends.
func (p *provider) discover(ctx context.Context, now func() time.Time) (*oidc.Provider, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.known != nil {
		return p.known, nil
	}
	if at := now(); p.failure != nil && !at.Before(p.failedAt) && at.Sub(p.failedAt) < providerRetryDelay {
		return nil, p.failure
	}
	// oidc.Provider uses the context for fetching keys later, so it must not end.
	client := &http.Client{Timeout: providerTimeout}
	known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), p.cfg.Issuer)
	if err != nil {
		p.failure, p.failedAt = fmt.Errorf("read the configuration of the identity provider %s: %w", p.cfg.Issuer, err), now()
		return nil, p.failure
	}
	p.known, p.failure = known, nil
	return known, nil
}

// oauth returns the OAuth 2.0 configuration for the provider.
func (p *provider) oauth(known *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: known.Endpoint(),
		RedirectURL: p.public + "/api/v1/oidc/callback", Scopes: p.scopes(known),
	}
}

// scopes returns the scopes to request. Some providers refuse a scope that they do not know, so groups
// is requested only if a grant names a group and the provider does not list its scopes without it.
func (p *provider) scopes(known *oidc.Provider) []string {
	scopes := []string{oidc.ScopeOpenID, "email", "profile"}
	if !p.grants.NameGroups() {
		return scopes
	}
	var listed struct {
		Scopes []string `json:"scopes_supported"`
	}
	if err := known.Claims(&listed); err == nil && len(listed.Scopes) > 0 && !slices.Contains(listed.Scopes, "groups") {
		return scopes
	}
	return append(scopes, "groups")
}

// identify returns the caller of a session that a login through a provider created. The scope is that
// of the present grants.
func (p *provider) identify(n access.Session) (access.Caller, error) {
	var id access.Identity
	if p == nil || json.Unmarshal([]byte(n.Identity), &id) != nil || id.Issuer != p.cfg.Issuer {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session belongs to an identity provider that this server does not use any more: log in again")
	}
	scope := p.grants.ScopeOf(id)
	if scope == access.Public {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "%s has no grant on this server any more: see --oidc-grant", job.Quote(id.Who()))
	}
	return access.Caller{Name: n.Who, Scope: scope, Via: access.ViaOIDC}, nil
}

// GetOIDCStart redirects a browser to the identity provider.
func (s *Guard) GetOIDCStart(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "this server has no identity provider: log in with a token"))
		return
	}
	if err := s.logins.begin(r); err != nil {
		s.Fail(w, r, err)
		return
	}
	known, err := s.oidc.discover(r.Context(), s.Now)
	if err != nil {
		s.redirectFailed(w, r, loginUnavailable, "the identity provider is not available", err)
		return
	}
	browser := loginSecret(access.NewSecret())
	l := access.Login{Hash: access.Hash(browser.state()), ReturnTo: localPath(r.URL.Query().Get("return_to")), ExpiresAt: s.Now().Add(loginTimeout)}
	if err := s.Store.BeginLogin(r.Context(), l, s.Now()); err != nil {
		s.Fail(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(r, loginCookie, string(browser), loginTimeout))
	http.Redirect(w, r, s.oidc.oauth(known).AuthCodeURL(browser.state(), oidc.Nonce(browser.nonce()), oauth2.S256ChallengeOption(browser.verifier())), http.StatusFound)
}

// loginSecret is the cookie of the browser that begins a login. Everything that completes the login is
// derived from it, so that the database has no secret of it.
type loginSecret string

// state returns the value that identifies the login in URLs.
func (l loginSecret) state() string { return l.derive("state") }

// nonce returns the value that the identity token must contain.
func (l loginSecret) nonce() string { return l.derive("nonce") }

// verifier returns the value that proves that the login is completed by the browser that began it
// (PKCE, RFC 7636).
func (l loginSecret) verifier() string { return l.derive("verifier") }

func (l loginSecret) derive(purpose string) string {
	mac := hmac.New(sha256.New, []byte(l))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// GetOIDCCallback completes a login when the identity provider redirects the browser to this server. The
// state must be that of the login that this browser began.
func (s *Guard) GetOIDCCallback(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "this server has no identity provider: log in with a token"))
		return
	}
	q := r.URL.Query()
	c, err := r.Cookie(s.cookieName(r, loginCookie))
	if err != nil || subtle.ConstantTimeCompare([]byte(loginSecret(c.Value).state()), []byte(q.Get("state"))) != 1 {
		s.redirectFailed(w, r, loginExpired, "this browser has not begun the login, or it took too long: try again", nil)
		return
	}
	browser := loginSecret(c.Value)
	http.SetCookie(w, s.cookie(r, loginCookie, "", -time.Second))
	l, err := s.Store.TakeLogin(r.Context(), access.Hash(browser.state()), s.Now())
	if err != nil {
		s.redirectFailed(w, r, loginExpired, "the login took too long, or was completed before: try again", err)
		return
	}
	if code := q.Get("error"); code != "" {
		s.redirectFailed(w, r, loginRefused, "the identity provider refused the login: "+httpio.Printable(code+" "+q.Get("error_description")), nil)
		return
	}
	identity, err := s.oidc.exchange(r.Context(), q.Get("code"), browser, s.Now)
	if err != nil {
		s.redirectFailed(w, r, loginUnverified, "the response of the identity provider could not be verified", err)
		return
	}
	who := access.Caller{Name: identity.Who(), Scope: s.oidc.grants.ScopeOf(identity), Via: access.ViaOIDC}
	if who.Scope == access.Public {
		s.redirectFailed(w, r, loginNoAccess, job.Quote(who.Name)+" has no grant on this server: see --oidc-grant", nil)
		return
	}
	stored, err := json.Marshal(identity)
	if err == nil {
		err = s.beginSession(w, r, who, string(stored))
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.audit(r, who, "log in", http.StatusOK, "")
	http.Redirect(w, r, s.oidc.public+l.ReturnTo, http.StatusSeeOther)
}

// exchange exchanges the code for an identity token, and verifies its signature, issuer, audience,
// expiry and nonce.
func (p *provider) exchange(ctx context.Context, code string, browser loginSecret, now func() time.Time) (access.Identity, error) {
	var none access.Identity
	known, err := p.discover(ctx, now)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	tokens, err := p.oauth(known).Exchange(ctx, code, oauth2.VerifierOption(browser.verifier()))
	if err != nil {
		return none, fmt.Errorf("exchange the code for a token: %w", err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return none, errors.New("the response of the provider has no id_token")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return none, fmt.Errorf("verify the identity token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(browser.nonce())) != 1 {
		return none, errors.New("the identity token belongs to another login")
	}
	var claims map[string]json.RawMessage
	if err := id.Claims(&claims); err != nil {
		return none, fmt.Errorf("read the identity token: %w", err)
	}
	return access.ReadIdentity(p.cfg.Issuer, claims), nil
}

// A loginError is a code for the web page of why a login failed. It is not a text, because anybody could
// make a link to the page with a text of their own.
type loginError string

const (
	loginUnavailable loginError = "unavailable" // the identity provider is not available
	loginExpired     loginError = "expired"     // the login took too long, or began in another browser
	loginRefused     loginError = "refused"     // the identity provider refused it
	loginUnverified  loginError = "unverified"  // the response of the identity provider is invalid
	loginNoAccess    loginError = "no_access"   // the person has no grant
)

// redirectFailed redirects the browser to the web page, which shows the text for the code. The reason
// is logged.
func (s *Guard) redirectFailed(w http.ResponseWriter, r *http.Request, code loginError, why string, err error) {
	if err != nil {
		why := fmt.Sprintf("%s: %v", why, err)
		s.recordRefused(r, why)
	} else {
		s.recordRefused(r, why)
	}
	http.Redirect(w, r, s.oidc.public+"/?login_error="+url.QueryEscape(string(code)), http.StatusSeeOther)
}

// localPath returns path if it is one of this server, and "/" if it could lead to another one.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}
