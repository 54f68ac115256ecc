package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/store"
)

const (
	proxyAddress = "10.0.0.1:4000"
	forwardedFor = "X-Forwarded-For"
)

func trusting(t *testing.T, texts ...string) access.Proxies {
	t.Helper()
	proxies, err := access.ParseProxies(texts)
	if err != nil {
		t.Fatal(err)
	}
	return proxies
}

// auditedAddresses returns the addresses of the entries of the audit log, the newest first.
func (l *live) auditedAddresses() (out []string) {
	l.t.Helper()
	entries, err := l.store.AuditLog(context.Background(), query.Audit{Limit: 100})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Address)
	}
	return out
}

// Behind a trusted proxy each client has limits of its own, whatever it invents; a client that is not a proxy has those of
// its connection.
func TestLimitsOfClientsBehindAProxy(t *testing.T) {
	const ofAddress = 30
	clock := newClock()
	l := start(t, server.Config{
		Now: clock.now, PublicURL: "http://stint.example", Proxies: trusting(t, "10.0.0.0/24"),
		OIDC: accessapi.OIDC{Issuer: newIdentityProvider(t).URL, ClientID: "stint", Grants: []string{"@example.org=read"}},
	})
	begin := func(address string, headers ...string) bool {
		return l.from(address, "GET", "/api/v1/oidc/start", "", headers...).Code == http.StatusFound
	}
	for i := range ofAddress + 1 {
		invented := []string{"203.0.113.", "198.51.100."}[i%2] + string(rune('1'+i%9))
		if begun := begin(proxyAddress, forwardedFor, invented+", 192.0.2.1"); begun != (i < ofAddress) {
			t.Errorf("login %d of a client: %t", i, begun)
		}
		if begun := begin("192.0.2.9:1", forwardedFor, invented); begun != (i < ofAddress) {
			t.Errorf("login %d of a client that says that it is a proxy: %t", i, begun)
		}
	}
	if !begin(proxyAddress, forwardedFor, "192.0.2.2") {
		t.Error("another client of the proxy is refused as well")
	}
	if begin("192.0.2.1:5", forwardedFor, "203.0.113.1") {
		t.Error("the client has other limits without the proxy")
	}
}

// Wrong tokens of one client do not make the others wait, and the audit log names who sent them.
func TestWrongTokensBehindAProxy(t *testing.T) {
	onStores(t, func(t *testing.T, st *store.Store) {
		clock := newClock()
		l := start(t, server.Config{Now: clock.now, Store: st, RequireToken: true, Proxies: trusting(t, "10.0.0.1")})
		l.store = st
		try := func(client, token string) int {
			return l.from(proxyAddress, "GET", "/api/v1/jobs", "", forwardedFor, client, "Authorization", "Bearer "+token).Code
		}
		var last int
		for range 12 {
			last = try("192.0.2.1", "stint_wrong")
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("the twelfth wrong token: %d", last)
		}
		if got := try("2001:db8::7", "stint_wrong"); got != http.StatusUnauthorized {
			t.Errorf("the first wrong token of another client: %d", got)
		}
		admin := l.mint(access.Admin, time.Time{}, clock.now())
		made := l.from(proxyAddress, "POST", "/api/v1/tokens", `{"name":"x","scope":"read"}`,
			forwardedFor, "192.0.2.3", "Authorization", "Bearer "+admin, "Content-Type", "application/json")
		if made.Code != http.StatusOK {
			t.Fatalf("%d: %s", made.Code, made.Body)
		}
		want := []string{"192.0.2.3", "2001:db8::7", "192.0.2.1"}
		got := l.auditedAddresses()
		if len(got) < len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("the audit log has the addresses %q, want %q", got, want)
		}
	})
}

// The host of a run that pings make is the client and not its proxy.
func TestPingsBehindAProxy(t *testing.T) {
	onStores(t, func(t *testing.T, st *store.Store) {
		clock := newClock()
		l := start(t, server.Config{Now: clock.now, Store: st, RequireToken: true, Proxies: trusting(t, "127.0.0.1")})
		l.store = st
		k := newCheck(t, l, clock, "backup")
		k.want(k.get("/ping/"+k.uuid, forwardedFor, "1.1.1.1, 2.2.2.2"), 200, "OK")
		if run := k.runs()[0]; run.Host != "2.2.2.2" {
			t.Errorf("host %s", run.Host)
		}
	})
}

// A request through a trusted proxy needs a token, whatever address the proxy names.
func TestTrustedProxiesNeedAToken(t *testing.T) {
	l := start(t, server.Config{Proxies: trusting(t, "127.0.0.1")})
	for _, client := range []string{"127.0.0.1", "::1", "192.0.2.1", "", "x"} {
		l.get("/api/v1/jobs", forwardedFor, client).problem(t, http.StatusUnauthorized)
	}
	l.get("/api/v1/jobs").ok(t, nil)
}
