package server_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
)

// mint stores a token and returns its secret.
func (l *live) mint(scope access.Scope, expires, now time.Time) string {
	l.t.Helper()
	secret, tok, err := access.NewToken("for "+string(scope), scope, expires, now)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.CreateToken(l.t.Context(), tok); err != nil {
		l.t.Fatal(err)
	}
	return secret
}

func TestScopes(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	scopes := access.Scopes
	secrets := map[access.Scope]string{}
	for _, s := range scopes {
		secrets[s] = l.mint(s, time.Time{}, c.now())
	}
	may := map[access.Scope]string{ // the scopes of routes that a token's scope opens
		access.Agent: "agent", access.Read: "read", access.Write: "read write", access.Author: "read write author",
		access.Admin: "agent read write author admin worker", access.Worker: "worker", access.Ping: "none",
	}
	for _, rt := range server.RouteList(l.srv) {
		path := strings.NewReplacer("{run}", "00000000-0000-7000-8000-000000000000", "{attempt}", "1", "{job}", "nobody").Replace(rt.Pattern)
		if strings.HasSuffix(path, "/v1/stream") {
			path += "?no=1" // refused after access was granted, instead of a stream without end
		}
		bare := l.do(rt.Method, path, nil)
		if rt.Scope == access.Public {
			if bare.status == http.StatusUnauthorized {
				t.Errorf("%s wants a token and is public", rt.Pattern)
			}
			continue
		}
		bare.problem(t, http.StatusUnauthorized)
		if bare.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", rt.Pattern)
		}
		for _, s := range scopes {
			r := l.do(rt.Method, path, nil, "Authorization", "Bearer "+secrets[s])
			allowed := strings.Contains(may[s], string(rt.Scope))
			if refused := r.status == http.StatusForbidden; refused == allowed || r.status == http.StatusUnauthorized {
				t.Errorf("%s %s (needs %s) with scope %s: %d, allowed should be %t", rt.Method, rt.Pattern, rt.Scope, s, r.status, allowed)
			}
		}
	}
}

func TestTokensThatDoNotWork(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	good := l.mint(access.Read, time.Time{}, c.now())
	short := l.mint(access.Read, c.now().Add(time.Hour), c.now())
	other, _, err := access.NewToken("other", access.Read, time.Time{}, c.now())
	if err != nil {
		t.Fatal(err)
	}
	basic := func(secret string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+secret)) }

	for _, header := range []string{"Bearer " + good, "bearer " + good, "Bearer " + short, basic(good)} {
		l.get("/api/v1/jobs", "Authorization", header).ok(t, nil)
	}
	l.get("/api/v1/jobs").ok(t, nil) // loopback needs none
	wrong := []string{
		"Bearer " + other, "Bearer stint_", "Bearer", "Bearer " + good + "x", "Token " + good, good, basic(other),
		"Bearer stint_" + strings.Repeat("x", 5000),
	}
	for _, header := range wrong {
		l.get("/api/v1/jobs", "Authorization", header).problem(t, http.StatusUnauthorized)
	}
	c.add(time.Hour)
	p := l.get("/api/v1/jobs", "Authorization", "Bearer "+short).problem(t, http.StatusUnauthorized)
	if !strings.Contains(p.Detail, "expired") {
		t.Errorf("the answer does not say that the token expired: %s", p.Detail)
	}

	var list struct{ Tokens []access.Token }
	l.get("/api/v1/tokens").ok(t, &list)
	for _, tok := range list.Tokens {
		if tok.LastUsedAt == nil {
			t.Errorf("token %s was used and does not say so", tok.Name)
		}
		if err := l.store.RevokeToken(t.Context(), tok.ID); err != nil {
			t.Fatal(err)
		}
	}
	c.add(6 * time.Second) // as long as a revoked token may still work
	l.get("/api/v1/jobs", "Authorization", "Bearer "+good).problem(t, http.StatusUnauthorized)
}

// lookups is a store that counts how often tokens are looked up.
type lookups struct {
	server.Store
	n atomic.Int64
}

func (l *lookups) TokenByHash(ctx context.Context, hash []byte) (access.Token, error) {
	l.n.Add(1)
	return l.Store.TokenByHash(ctx, hash)
}

// A token that a server knows is not looked up for each request, and is refused soon after another
// server on the database revoked it. No time passes on the server's clock.
func TestTokensAreLookedUpAgainWhenOneIsRevoked(t *testing.T) {
	c := newClock()
	st := openStore(t, t.TempDir())
	counted := &lookups{Store: st}
	l := start(t, server.Config{Store: counted, Now: c.now, RequireToken: true})
	l.store = st
	kept, revoked := "Bearer "+l.mint(access.Read, time.Time{}, c.now()), "Bearer "+l.mint(access.Write, time.Time{}, c.now())
	known := func() {
		for try := 0; ; try++ {
			before := counted.n.Load()
			for _, token := range []string{kept, revoked} {
				l.get("/api/v1/jobs", "Authorization", token).ok(t, nil)
			}
			if counted.n.Load() == before {
				return
			}
			if try == 10_000 {
				t.Fatal("tokens are looked up for each request")
			}
		}
	}
	known()
	all, err := st.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Scope == string(access.Write) {
			if err := st.RevokeToken(t.Context(), one.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for try := 0; l.get("/api/v1/jobs", "Authorization", revoked).status == http.StatusOK; try++ {
		if try == 1_000_000 {
			t.Fatal("a token that another server revoked is taken for valid")
		}
	}
	l.get("/api/v1/jobs", "Authorization", revoked).problem(t, http.StatusUnauthorized)
	revoked = kept
	known()
}

// A page of another site can neither reach a server without tokens under its own name,
// nor write to it.
func TestOtherSites(t *testing.T) {
	l := start(t, server.Config{Hosts: []string{"jobs.lan"}})
	token := []string{"Authorization", "Bearer " + l.mint(access.Read, time.Time{}, time.Now())}
	for _, host := range []string{"127.0.0.1:7846", "localhost", "x.localhost:1", "[::1]:7846", "127.8.8.8"} {
		l.get("/api/v1/jobs", "Host", host).ok(t, nil)
	}
	for _, host := range []string{
		"evil.example", "localhost.evil.example:7846", "10.0.0.1:7846", "127.0.0.1.evil.example",
		"127.0.0.1:evil.example", "[127.0.0.1]", "jobs.lan:evil.example",
	} {
		l.get("/api/v1/jobs", "Host", host).problem(t, http.StatusMisdirectedRequest)
		l.get("/", "Host", host).problem(t, http.StatusMisdirectedRequest)
		l.get("/api/v1/jobs", append(token, "Host", host)...).ok(t, nil)
		l.get("/api/v1/jobs", "Host", host, "Authorization", "Bearer x").problem(t, http.StatusUnauthorized)
		l.get("/api/v1/jobs", "Host", host, "Cookie", "stint_session=x").problem(t, http.StatusMisdirectedRequest)
	}
	// A name that is allowed is answered to, and does not replace a token.
	l.get("/api/v1/jobs", "Host", "jobs.lan:7846").problem(t, http.StatusUnauthorized)
	l.get("/healthz", "Host", "jobs.lan:7846").ok(t, nil)
	l.get("/api/v1/jobs", append(token, "Host", "jobs.lan:7846")...).ok(t, nil)
	insecure := start(t, server.Config{Insecure: true})
	insecure.get("/api/v1/jobs", "Host", "elsewhere.example").ok(t, nil)

	path := "/compat/j/heartbeat"
	l.do("PUT", path, nil, "Sec-Fetch-Site", "cross-site").problem(t, http.StatusForbidden)
	l.do("PUT", path, nil, "Origin", "https://evil.example").problem(t, http.StatusForbidden)
	l.do("PUT", path, nil, "Origin", "null").problem(t, http.StatusForbidden)
	l.do("PUT", path, nil, "Sec-Fetch-Site", "same-origin").ok(t, nil)
	l.do("PUT", path, nil, "Origin", l.url).ok(t, nil)
	l.do("PUT", path, nil).ok(t, nil)
}
