package server_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// identityProvider is one that lets everybody in as the person that the test sets.
type identityProvider struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu     sync.Mutex
	claims map[string]any // of the next identity token, over the right ones
	known  []string       // the scopes that it knows; it refuses others; nil for all
	listed bool           // it lists them
	asked  []string       // the scopes that the browser brought
	nonce  string         // what the browser brought
	proof  string         // its PKCE challenge
}

func newIdentityProvider(t *testing.T) *identityProvider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &identityProvider{t: t, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		about := map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
		p.mu.Lock()
		if p.listed {
			about["scopes_supported"] = p.known
		}
		p.mu.Unlock()
		p.json(w, about)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.json(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /auth", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *identityProvider) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *identityProvider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.mu.Lock()
	p.nonce, p.proof = q.Get("nonce"), q.Get("code_challenge")
	p.asked = strings.Fields(q.Get("scope"))
	unknown := p.known != nil && slices.ContainsFunc(p.asked, func(s string) bool { return !slices.Contains(p.known, s) })
	p.mu.Unlock()
	if unknown {
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"error": {"invalid_scope"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		return
	}
	if q.Get("client_id") != "stint" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		p.t.Errorf("the browser was sent with %s", r.URL.RawQuery)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"the-code"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

func (p *identityProvider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if r.PostFormValue("code") != "the-code" || base64.RawURLEncoding.EncodeToString(sum[:]) != p.proof {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	claims := map[string]any{
		"iss": p.URL, "aud": "stint", "sub": "1", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"nonce": p.nonce, "email": "ada@example.org", "email_verified": true, "groups": []string{"dev"},
	}
	for name, v := range p.claims {
		claims[name] = v
		if v == nil {
			delete(claims, name)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Error(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		p.t.Error(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	p.json(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": raw})
}

func TestOIDC(t *testing.T) {
	idp := newIdentityProvider(t)
	// The server's public address is known only once it listens, so a proxy is in front of it.
	var inner http.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	l := start(t, server.Config{
		RequireToken: true, PublicURL: front.URL + "/",
		OIDC: accessapi.OIDC{Issuer: idp.URL, ClientID: "stint", ClientSecret: "s", Grants: []string{"@example.org=read", "group:ops=admin", "eve@evil.example=write"}},
	})
	inner = l.srv.Handler()

	for _, tt := range []struct {
		name   string
		claims map[string]any
		scope  string // empty: refused
		who    string
	}{
		{"domain", nil, "read", "ada@example.org"},
		{"the widest grant counts", map[string]any{"groups": []string{"dev", "ops"}}, "admin", "ada@example.org"},
		{"capital letters", map[string]any{"email": "Ada@Example.ORG"}, "read", "Ada@Example.ORG"},
		{"address not verified", map[string]any{"email_verified": false}, "", ""},
		{"unverified, but of a group", map[string]any{"email_verified": false, "groups": []string{"ops"}}, "admin", "ada@example.org"},
		{"another domain", map[string]any{"email": "ada@example.org.evil.example"}, "", ""},
		{"another's nonce", map[string]any{"nonce": "x"}, "", ""},
		{"another audience", map[string]any{"aud": "other"}, "", ""},
		{"expired", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, "", ""},
		{"another issuer", map[string]any{"iss": "https://evil.example"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp.mu.Lock()
			idp.claims = tt.claims
			idp.mu.Unlock()
			b := newBrowser(t)
			end := b.get(front.URL + "/api/v1/oidc/start?return_to=/runs/12")
			var who me
			b.json(front.URL+"/api/v1/me", &who)
			if who.Scope != tt.scope || who.Name != tt.who {
				t.Errorf("logged in as %+v, want %s with %q", who, tt.who, tt.scope)
			}
			if refused := strings.Contains(end, "login_error="); refused != (tt.scope == "") {
				t.Errorf("came back to %s", end)
			}
			if tt.scope != "" && !strings.HasSuffix(end, "/runs/12") {
				t.Errorf("came back to %s", end)
			}
		})
	}

	idp.mu.Lock()
	idp.claims = nil
	idp.mu.Unlock()
	t.Run("nobody is sent elsewhere", func(t *testing.T) {
		for _, to := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "evil", "/x\r\nSet-Cookie: a=b"} {
			if end := newBrowser(t).get(front.URL + "/api/v1/oidc/start?return_to=" + url.QueryEscape(to)); end != front.URL+"/" {
				t.Errorf("return_to=%q leads to %s", to, end)
			}
		}
	})
	t.Run("a link with another's login", func(t *testing.T) {
		// An attacker who gets a victim to open a callback would log the victim in as the attacker.
		b := newBrowser(t)
		b.stopAt = "/api/v1/oidc/callback"
		callback := b.get(front.URL + "/api/v1/oidc/start")
		if end := newBrowser(t).get(callback); !strings.Contains(end, "login_error=") {
			t.Errorf("came back to %s", end)
		}
		b.stopAt = ""
		if end := b.get(callback); end != front.URL+"/" {
			t.Errorf("its own browser came back to %s", end)
		}
		if end := b.get(callback); !strings.HasSuffix(end, "login_error=expired") {
			t.Errorf("the same callback counted twice: %s", end)
		}
	})
	t.Run("provider away", func(t *testing.T) {
		away := start(t, server.Config{
			PublicURL: "http://localhost:1", OIDC: accessapi.OIDC{Issuer: "http://127.0.0.1:9", ClientID: "stint", Grants: []string{"@a.b=read"}},
		})
		b := newBrowser(t)
		b.stopAt = "/"
		if end := b.get(away.url + "/api/v1/oidc/start"); !strings.HasSuffix(end, "login_error=unavailable") {
			t.Errorf("came back to %s", end)
		}
	})
}

// front is an address that is known before the server behind it.
func front(t *testing.T) (url string, serve func(http.Handler)) {
	var inner atomic.Pointer[http.Handler]
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*inner.Load()).ServeHTTP(w, r) }))
	t.Cleanup(f.Close)
	return f.URL, func(h http.Handler) { inner.Store(&h) }
}

// Providers differ in the scopes that they know and in how they write claims.
func TestOIDCProviders(t *testing.T) {
	plain := []string{"openid", "email", "profile"}
	byAddress, byGroup := []string{"ada@example.org=write"}, []string{"group:ops=write"}
	for _, tt := range []struct {
		name   string
		grants []string
		known  []string
		listed bool
		claims map[string]any
		asked  []string
		scope  string
	}{
		{"refuses unknown scopes", byAddress, plain, false, nil, plain, "write"},
		{"refuses unknown scopes and lists its own", byGroup, plain, true, map[string]any{"groups": []string{"ops"}}, plain, "write"},
		{"knows groups", byGroup, append([]string{"groups"}, plain...), true, map[string]any{"groups": []string{"ops"}}, append(plain[:3:3], "groups"), "write"},
		{"lists nothing", byGroup, nil, false, map[string]any{"groups": []string{"ops"}}, append(plain[:3:3], "groups"), "write"},
		{"email_verified as a text", byAddress, nil, false, map[string]any{"email_verified": "true"}, plain, "write"},
		{"email_verified as a text, false", byAddress, nil, false, map[string]any{"email_verified": "false"}, plain, ""},
		{"email_verified absent", byAddress, nil, false, map[string]any{"email_verified": nil}, plain, ""},
		{"groups absent", append(byAddress, byGroup...), nil, false, map[string]any{"groups": nil}, append(plain[:3:3], "groups"), "write"},
		{"groups as one text", byGroup, nil, false, map[string]any{"groups": "ops"}, append(plain[:3:3], "groups"), "write"},
		{"groups as an array with more than texts", byGroup, nil, false, map[string]any{"groups": []any{1, nil, "ops"}}, append(plain[:3:3], "groups"), "write"},
		{"groups as an object", append(byAddress, byGroup...), nil, false, map[string]any{"groups": map[string]any{"ops": true}}, append(plain[:3:3], "groups"), "write"},
		{"no refresh", byAddress, plain, true, nil, plain, "write"}, // it knows no offline_access
	} {
		t.Run(tt.name, func(t *testing.T) {
			idp := newIdentityProvider(t)
			idp.mu.Lock()
			idp.known, idp.listed, idp.claims = tt.known, tt.listed, tt.claims
			idp.mu.Unlock()
			public, serve := front(t)
			l := start(t, server.Config{PublicURL: public, OIDC: accessapi.OIDC{Issuer: idp.URL, ClientID: "stint", Grants: tt.grants}})
			serve(l.srv.Handler())
			b := newBrowser(t)
			end := b.get(public + "/api/v1/oidc/start")
			var who me
			b.json(public+"/api/v1/me", &who)
			if who.Scope != tt.scope {
				t.Errorf("logged in as %+v, want %q; came back to %s", who, tt.scope, end)
			}
			idp.mu.Lock()
			defer idp.mu.Unlock()
			if !slices.Equal(idp.asked, tt.asked) {
				t.Errorf("asked for %v, want %v", idp.asked, tt.asked)
			}
		})
	}
}

// A session has the scope that the grants give now, and ends with them, with the provider
// and with the server's use of it.
func TestOIDCSessionEndsWithItsGrant(t *testing.T) {
	idp := newIdentityProvider(t)
	st := openStore(t, t.TempDir())
	public, serve := front(t)
	with := func(oidc accessapi.OIDC) {
		l := start(t, server.Config{Store: st, PublicURL: public, RequireToken: true, OIDC: oidc})
		serve(l.srv.Handler())
	}
	oidc := accessapi.OIDC{Issuer: idp.URL, ClientID: "stint", Grants: []string{"ada@example.org=admin", "group:dev=read"}}
	with(oidc)
	b := newBrowser(t)
	b.get(public + "/api/v1/oidc/start")
	status := func(path string) int {
		resp, err := b.client.Get(public + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status("/api/v1/tokens"); got != http.StatusOK {
		t.Fatalf("as admin: %d", got)
	}
	oidc.Grants = []string{"group:dev=read"}
	with(oidc)
	if got, runs := status("/api/v1/tokens"), status("/api/v1/runs"); got != http.StatusForbidden || runs != http.StatusOK {
		t.Errorf("with a smaller grant: tokens %d, runs %d", got, runs)
	}
	oidc.Grants = []string{"eve@example.org=read"}
	with(oidc)
	if got := status("/api/v1/runs"); got != http.StatusUnauthorized {
		t.Errorf("with a grant to others: %d", got)
	}
	with(accessapi.OIDC{})
	if got := status("/api/v1/runs"); got != http.StatusUnauthorized {
		t.Errorf("without a provider: %d", got)
	}
	other := newIdentityProvider(t)
	with(accessapi.OIDC{Issuer: other.URL, ClientID: "stint", Grants: []string{"ada@example.org=admin"}})
	if got := status("/api/v1/runs"); got != http.StatusUnauthorized {
		t.Errorf("with another provider: %d", got)
	}
}

func TestOIDCIsRefusedWhenSet(t *testing.T) {
	good := accessapi.OIDC{Issuer: "https://id.example", ClientID: "c", Grants: []string{"@example.org=read"}}
	for name, change := range map[string]func(*server.Config){
		"plain http":       func(c *server.Config) { c.OIDC.Issuer = "http://id.example" },
		"no client":        func(c *server.Config) { c.OIDC.ClientID = "" },
		"no public URL":    func(c *server.Config) { c.PublicURL = "" },
		"nobody may enter": func(c *server.Config) { c.OIDC.Grants = nil },
		"no scope":         func(c *server.Config) { c.OIDC.Grants = []string{"@example.org"} },
		"unknown scope":    func(c *server.Config) { c.OIDC.Grants = []string{"@example.org=root"} },
		"agents' scope":    func(c *server.Config) { c.OIDC.Grants = []string{"@example.org=agent"} },
		"nobody named":     func(c *server.Config) { c.OIDC.Grants = []string{"=read"} },
		"no address":       func(c *server.Config) { c.OIDC.Grants = []string{"ada=read"} },
		"any group":        func(c *server.Config) { c.OIDC.Grants = []string{"group:=read"} },
	} {
		c := server.Config{Store: openStore(t, t.TempDir()), PublicURL: "https://stint.example", OIDC: good}
		change(&c)
		if _, err := server.New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// browser follows redirects with its own cookies.
type browser struct {
	t      *testing.T
	client *http.Client
	stopAt string // a path that it does not go to
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t}
	b.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if b.stopAt != "" && r.URL.Path == b.stopAt {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

// get returns the address that it ended at, or was not to go to.
func (b *browser) get(address string) string {
	b.t.Helper()
	resp, err := b.client.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if to := resp.Header.Get("Location"); to != "" {
		return to
	}
	return resp.Request.URL.String()
}

func (b *browser) json(address string, v any) {
	b.t.Helper()
	resp, err := b.client.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		b.t.Fatal(err)
	}
}
