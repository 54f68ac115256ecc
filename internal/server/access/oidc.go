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

// OIDC says how people log in through an identity provider (OpenID Connect Core 1.0, with
// the authorization code flow and PKCE). The zero value: they cannot.
type OIDC struct {
	Issuer       string // the provider's address, as its tokens name it
	ClientID     string
	ClientSecret string
	// Grants say who gets which scope: "ada@example.org=admin", "@example.org=read",
	// "group:ops=write". Who matches several gets the widest. Nobody else comes in.
	Grants []string
}

// provider is the identity provider. What it says of itself is read at the first login,
// so that a server starts also while the provider is away.
type provider struct {
	cfg    OIDC
	public string // the server's own address as people see it
	grants access.Grants

	turn     chan struct{} // holds one while what follows is read or changed
	known    *oidc.Provider
	failure  error     // why it could not be asked last; nil if it could
	failedAt time.Time // when that was
}

const (
	providerTime = 15 * time.Second
	// providerRetry is how long nobody asks a provider again that does not answer.
	providerRetry = 5 * time.Second
	loginTime     = 10 * time.Minute
	loginCookie   = "stint_login"
)

// newProvider checks the configuration; nil for none.
func newProvider(cfg OIDC, public string) (*provider, error) {
	if cfg.Issuer == "" {
		return nil, nil //nolint:nilnil // nil: nobody logs in through a provider
	}
	if u, err := url.Parse(cfg.Issuer); err != nil || u.Scheme != "https" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
		return nil, &job.InvalidError{What: "OIDC issuer", Value: cfg.Issuer, Why: "is not an https address"}
	}
	if cfg.ClientID == "" || public == "" || len(cfg.Grants) == 0 {
		return nil, errors.New("logging in through OIDC needs the client id, the server's public address and at least one grant: --oidc-client-id, --public-url, --oidc-grant")
	}
	p := &provider{cfg: cfg, public: strings.TrimRight(public, "/"), turn: make(chan struct{}, 1)}
	var err error
	if p.grants, err = access.ParseGrants(cfg.Grants); err != nil {
		return nil, err
	}
	return p, nil
}

// discover returns the provider's endpoints and keys. While the provider does not answer, one
// request at a time waits for it, and the others for that one, as long as ctx lasts.
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
	if at := now(); p.failure != nil && !at.Before(p.failedAt) && at.Sub(p.failedAt) < providerRetry {
		return nil, p.failure
	}
	// The provider keeps the context for fetching keys later, so it must not end.
	client := &http.Client{Timeout: providerTime}
	known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), p.cfg.Issuer)
	if err != nil {
		p.failure, p.failedAt = fmt.Errorf("ask the identity provider %s: %w", p.cfg.Issuer, err), now()
		return nil, p.failure
	}
	p.known, p.failure = known, nil
	return known, nil
}

func (p *provider) oauth(known *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: known.Endpoint(),
		RedirectURL: p.public + "/api/v1/oidc/callback", Scopes: p.scopes(known),
	}
}

// scopes are what the provider is asked for. Some refuse a scope that they do not know, so
// groups are asked for only when a grant names one, and the provider does not list its
// scopes without them: such a one sends the claim by itself, or never.
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

// identify finds out whose session one is that an earlier login began. Its scope is what
// the grants give the person now.
func (p *provider) identify(n access.Session) (access.Caller, error) {
	var id access.Identity
	if p == nil || json.Unmarshal([]byte(n.Identity), &id) != nil || id.Issuer != p.cfg.Issuer {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the session is of an identity provider that this server does not use any more: log in again")
	}
	scope := p.grants.ScopeOf(id)
	if scope == access.Public {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "%s is given no access here any more: see --oidc-grant", job.Quote(id.Who()))
	}
	return access.Caller{Name: n.Who, Scope: scope, Via: access.ViaOIDC}, nil
}

// GetOIDCStart sends a browser to the identity provider.
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
		s.loginFailed(w, r, loginUnavailable, "the identity provider does not answer", err)
		return
	}
	browser := loginSecret(access.NewSecret())
	l := access.Login{Hash: access.Hash(browser.state()), ReturnTo: localPath(r.URL.Query().Get("return_to")), ExpiresAt: s.Now().Add(loginTime)}
	if err := s.Store.BeginLogin(r.Context(), l, s.Now()); err != nil {
		s.Fail(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(r, loginCookie, string(browser), loginTime))
	http.Redirect(w, r, s.oidc.oauth(known).AuthCodeURL(browser.state(), oidc.Nonce(browser.nonce()), oauth2.S256ChallengeOption(browser.verifier())), http.StatusFound)
}

// loginSecret is what only the browser knows that begins a login. All that the login needs is
// derived from it, so the database holds nothing that helps to complete it.
type loginSecret string

// state identifies the login in addresses.
func (l loginSecret) state() string { return l.derive("state") }

// nonce is contained in the identity token that answers the login.
func (l loginSecret) nonce() string { return l.derive("nonce") }

// verifier proves that who comes back is who began (PKCE, RFC 7636).
func (l loginSecret) verifier() string { return l.derive("verifier") }

func (l loginSecret) derive(purpose string) string {
	mac := hmac.New(sha256.New, []byte(l))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// GetOIDCCallback takes back a browser from the identity provider. Its state must be the
// one that this very browser was sent away with.
func (s *Guard) GetOIDCCallback(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "this server has no identity provider: log in with a token"))
		return
	}
	q := r.URL.Query()
	c, err := r.Cookie(s.cookieName(r, loginCookie))
	if err != nil || subtle.ConstantTimeCompare([]byte(loginSecret(c.Value).state()), []byte(q.Get("state"))) != 1 {
		s.loginFailed(w, r, loginExpired, "the login was not begun in this browser, or took too long: try again", nil)
		return
	}
	browser := loginSecret(c.Value)
	http.SetCookie(w, s.cookie(r, loginCookie, "", -time.Second))
	l, err := s.Store.TakeLogin(r.Context(), access.Hash(browser.state()), s.Now())
	if err != nil {
		s.loginFailed(w, r, loginExpired, "the login took too long, or came back twice: try again", err)
		return
	}
	if code := q.Get("error"); code != "" {
		s.loginFailed(w, r, loginRefused, "the identity provider refused: "+httpio.Printable(code+" "+q.Get("error_description")), nil)
		return
	}
	identity, err := s.oidc.exchange(r.Context(), q.Get("code"), browser, s.Now)
	if err != nil {
		s.loginFailed(w, r, loginUnverified, "what the identity provider sent could not be verified", err)
		return
	}
	who := access.Caller{Name: identity.Who(), Scope: s.oidc.grants.ScopeOf(identity), Via: access.ViaOIDC}
	if who.Scope == access.Public {
		s.loginFailed(w, r, loginNoAccess, job.Quote(who.Name)+" is known to the identity provider but is given no access here: see --oidc-grant", nil)
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
	s.audit(r, who, "log in", http.StatusOK)
	http.Redirect(w, r, s.oidc.public+l.ReturnTo, http.StatusSeeOther)
}

// exchange changes the code for an identity token and verifies it: signature, issuer,
// audience, expiry, nonce.
func (p *provider) exchange(ctx context.Context, code string, browser loginSecret, now func() time.Time) (access.Identity, error) {
	var none access.Identity
	known, err := p.discover(ctx, now)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	tokens, err := p.oauth(known).Exchange(ctx, code, oauth2.VerifierOption(browser.verifier()))
	if err != nil {
		return none, fmt.Errorf("change the code for a token: %w", err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return none, errors.New("the provider sent no id_token")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return none, fmt.Errorf("verify the identity token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(browser.nonce())) != 1 {
		return none, errors.New("the identity token answers another login")
	}
	var claims map[string]json.RawMessage
	if err := id.Claims(&claims); err != nil {
		return none, fmt.Errorf("read the identity token: %w", err)
	}
	return access.ReadIdentity(p.cfg.Issuer, claims), nil
}

// A loginError is why, for the page, a login failed. It is a code, not a sentence: whoever makes a
// link to the page could write one.
type loginError string

const (
	loginUnavailable loginError = "unavailable" // the identity provider does not answer
	loginExpired     loginError = "expired"     // the login took too long, or was begun elsewhere
	loginRefused     loginError = "refused"     // by the identity provider
	loginUnverified  loginError = "unverified"  // what the identity provider sent
	loginNoAccess    loginError = "no_access"   // of somebody whom the identity provider knows
)

// loginFailed sends the browser back to the page, which says why. The details are for the
// server's own log.
func (s *Guard) loginFailed(w http.ResponseWriter, r *http.Request, code loginError, why string, err error) {
	if err != nil {
		why := fmt.Sprintf("%s: %v", why, err)
		s.refused(r, why)
	} else {
		s.refused(r, why)
	}
	http.Redirect(w, r, s.oidc.public+"/?login_error="+url.QueryEscape(string(code)), http.StatusSeeOther)
}

// localPath is a path of this server, or "/" for anything that could lead elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}
