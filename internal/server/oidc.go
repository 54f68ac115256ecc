package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
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

// grant is one of OIDC.Grants, read.
type grant struct {
	email, domain, group string // exactly one is set
	scope                access.Scope
}

// parseGrant reads one grant.
func parseGrant(text string) (grant, error) {
	who, scope, ok := strings.Cut(text, "=")
	g := grant{scope: access.Scope(scope)}
	if !ok || !g.scope.Allows(access.Read) || who == "" || who == "@" || who == "group:" {
		return g, &job.InvalidError{What: "OIDC grant", Value: text, Why: "is not like ada@example.org=admin, @example.org=read or group:ops=write"}
	}
	if name, ok := strings.CutPrefix(who, "group:"); ok {
		g.group = name
		return g, nil
	}
	if domain, ok := strings.CutPrefix(who, "@"); ok {
		g.domain = strings.ToLower(domain)
		return g, nil
	}
	if !strings.Contains(who, "@") {
		return g, &job.InvalidError{What: "OIDC grant", Value: text, Why: "names neither an e-mail address, nor a @domain, nor a group:NAME"}
	}
	g.email = strings.ToLower(who)
	return g, nil
}

// claims are what an identity token says of a person.
type claims struct {
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Name          string   `json:"name"`
	Groups        []string `json:"groups"`
	Nonce         string   `json:"nonce"`
}

// scopeFor is the widest scope that the grants give a person; Public for none. An address
// counts only if the provider says that it is verified.
func scopeFor(grants []grant, c claims) access.Scope {
	email := ""
	if c.EmailVerified {
		email = strings.ToLower(c.Email)
	}
	_, domain, _ := strings.Cut(email, "@")
	found := access.Public
	for _, g := range grants {
		match := email != "" && g.email == email || domain != "" && g.domain == domain
		for _, name := range c.Groups {
			match = match || g.group != "" && g.group == name
		}
		if match && (found == access.Public || g.scope.Allows(found)) {
			found = g.scope
		}
	}
	return found
}

// provider is the identity provider. What it says of itself is read at the first login,
// so that a server starts also while the provider is away.
type provider struct {
	cfg    OIDC
	public string // the server's own address as people see it
	grants []grant

	mu    sync.Mutex
	known *oidc.Provider
}

const (
	providerTime = 15 * time.Second
	loginTime    = 10 * time.Minute
	loginCookie  = "stint_login"
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
	p := &provider{cfg: cfg, public: strings.TrimRight(public, "/")}
	for _, text := range cfg.Grants {
		g, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		p.grants = append(p.grants, g)
	}
	return p, nil
}

// discover returns the provider's endpoints and keys.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	// The provider keeps the context for fetching keys later, so it must not end.
	client := &http.Client{Timeout: providerTime}
	known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), p.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the identity provider %s: %w", p.cfg.Issuer, err)
	}
	p.known = known
	return known, nil
}

func (p *provider) oauth(known *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: known.Endpoint(),
		RedirectURL: p.public + "/api/v1/oidc/callback", Scopes: []string{oidc.ScopeOpenID, "email", "profile", "groups"},
	}
}

// getOIDCStart sends a browser to the identity provider.
func (s *Server) getOIDCStart(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "this server has no identity provider: log in with a token"))
		return
	}
	known, err := s.oidc.discover(r.Context())
	if err != nil {
		s.loginFailed(w, r, "the identity provider does not answer", err)
		return
	}
	l := index.Login{Nonce: access.NewSecret(), Verifier: oauth2.GenerateVerifier(), ReturnTo: localPath(r.URL.Query().Get("return_to")), ExpiresAt: s.now().Add(loginTime)}
	state := access.NewSecret()
	l.Hash = access.Hash(state)
	if err := s.store.BeginLogin(r.Context(), l); err != nil {
		s.fail(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(r, loginCookie, state, loginTime))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.oidc.oauth(known).AuthCodeURL(state, oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier)), http.StatusFound)
}

// getOIDCCallback takes back a browser from the identity provider. Its state must be the
// one that this very browser was sent away with.
func (s *Server) getOIDCCallback(w http.ResponseWriter, r *http.Request) {
	if s.oidc == nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "this server has no identity provider: log in with a token"))
		return
	}
	q := r.URL.Query()
	c, err := r.Cookie(loginCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(q.Get("state"))) != 1 {
		s.loginFailed(w, r, "the login was not begun in this browser, or took too long: try again", nil)
		return
	}
	http.SetCookie(w, s.cookie(r, loginCookie, "", -time.Second))
	l, err := s.store.TakeLogin(r.Context(), access.Hash(c.Value), s.now())
	if err != nil {
		s.loginFailed(w, r, "the login took too long, or came back twice: try again", err)
		return
	}
	if code := q.Get("error"); code != "" {
		s.loginFailed(w, r, "the identity provider refused: "+printable(code+" "+q.Get("error_description")), nil)
		return
	}
	said, err := s.oidc.exchange(r.Context(), q.Get("code"), l)
	if err != nil {
		s.loginFailed(w, r, "what the identity provider sent could not be verified", err)
		return
	}
	who := actor{name: said.Email, scope: scopeFor(s.oidc.grants, said), via: viaOIDC}
	if who.name == "" {
		who.name = said.Name
	}
	if who.scope == access.Public {
		s.loginFailed(w, r, job.Quote(who.name)+" is known to the identity provider but is given no access here: see --oidc-grant", nil)
		return
	}
	if err := s.beginSession(w, r, who); err != nil {
		s.fail(w, r, err)
		return
	}
	s.audit(r, who, "log in", http.StatusOK)
	http.Redirect(w, r, s.oidc.public+l.ReturnTo, http.StatusSeeOther)
}

// exchange changes the code for an identity token and verifies it: signature, issuer,
// audience, expiry, nonce.
func (p *provider) exchange(ctx context.Context, code string, l index.Login) (claims, error) {
	var said claims
	known, err := p.discover(ctx)
	if err != nil {
		return said, err
	}
	ctx, cancel := context.WithTimeout(ctx, providerTime)
	defer cancel()
	tokens, err := p.oauth(known).Exchange(ctx, code, oauth2.VerifierOption(l.Verifier))
	if err != nil {
		return said, fmt.Errorf("change the code for a token: %w", err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return said, errors.New("the provider sent no id_token")
	}
	id, err := known.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return said, fmt.Errorf("verify the identity token: %w", err)
	}
	if err := id.Claims(&said); err != nil {
		return said, fmt.Errorf("read the identity token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(said.Nonce), []byte(l.Nonce)) != 1 {
		return said, errors.New("the identity token answers another login")
	}
	return said, nil
}

// loginFailed sends the browser back to the page, which says why. The details are for the
// server's own log.
func (s *Server) loginFailed(w http.ResponseWriter, r *http.Request, why string, err error) {
	s.log.Warn("a login through the identity provider failed", "why", why, "address", remoteHost(r), "error", err)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.oidc.public+"/?login_error="+url.QueryEscape(why), http.StatusSeeOther)
}

// localPath is a path of this server, or "/" for anything that could lead elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}
