package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// from sends a request to the handler as if it came from an address.
func (l *live) from(address, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = address
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	l.srv.Handler().ServeHTTP(w, r)
	return w
}

// Anybody may begin a login, and each is a row and a turn of the connection that writes.
func TestLoginsAreBounded(t *testing.T) {
	const ofAddress, inAll = 30, 600 // a minute
	idp, clock := newIdentityProvider(t), newClock()
	l := start(t, server.Config{
		Now: clock.now, PublicURL: "http://stint.example",
		OIDC: accessapi.OIDC{Issuer: idp.URL, ClientID: "stint", Grants: []string{"@example.org=read"}},
	})
	const path = "/api/v1/oidc/start"
	begin := func(address string, times int) (begun int) {
		for range times {
			w := l.from(address, "GET", path, "")
			switch {
			case w.Code == http.StatusFound:
				begun++
			case w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "":
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
		}
		return begun
	}
	if n := begin("192.0.2.1:1000", ofAddress+5); n != ofAddress {
		t.Errorf("one address began %d logins in a minute", n)
	}
	if n := begin("192.0.2.2:1000", 1); n != 1 {
		t.Error("another address is refused as well")
	}
	if n := begin("[2001:db8::1]:1", ofAddress) + begin("[2001:db8::2]:1", 5); n != ofAddress {
		t.Errorf("one network of IPv6 began %d logins in a minute", n)
	}
	n := 0
	for i := range 40 {
		n += begin(fmt.Sprintf("198.51.100.%d:1", i), ofAddress)
	}
	if n += 2*ofAddress + 1; n != inAll {
		t.Errorf("all addresses together began %d logins in a minute", n)
	}
	clock.add(time.Minute)
	if begin("192.0.2.1:1000", 1) != 1 {
		t.Error("refused also a minute later")
	}
}

// A token may not begin any number of sessions either; a wrong one is refused as ever.
func TestLoginsWithATokenAreBounded(t *testing.T) {
	const ofAddress = 30
	clock := newClock()
	l := start(t, server.Config{Now: clock.now, RequireToken: true})
	token := l.mint(access.Read, time.Time{}, clock.now())
	logIn := func(token string) int {
		return l.from("192.0.2.1:1000", "POST", "/api/v1/login", `{"token":"`+token+`"}`, "Content-Type", "application/json").Code
	}
	for i := range ofAddress {
		if got := logIn(token); got != http.StatusOK {
			t.Fatalf("login %d: %d", i, got)
		}
	}
	if got := logIn(token); got != http.StatusTooManyRequests {
		t.Errorf("one more login: %d", got)
	}
	if got := logIn("stint_wrong"); got != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", got)
	}
	if n, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 1000}); err != nil || len(n) > ofAddress+2 {
		t.Errorf("%d entries of the audit log, %v", len(n), err)
	}
}

// While the identity provider is silent nobody waits longer than their client does, and it is
// asked once, not by each of them in turn.
func TestSilentIdentityProvider(t *testing.T) {
	var asked atomic.Int32
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		arrived <- struct{}{}
		<-release
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(silent.Close)
	clock := newClock()
	l := start(t, server.Config{
		Now: clock.now, PublicURL: "http://stint.example",
		OIDC: accessapi.OIDC{Issuer: silent.URL, ClientID: "stint", Grants: []string{"@example.org=read"}},
	})
	const path = "/api/v1/oidc/start"
	var all sync.WaitGroup
	begin := func(ctx context.Context) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		l.srv.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil).WithContext(ctx))
		return w
	}
	for range 10 {
		all.Go(func() {
			if w := begin(t.Context()); !strings.Contains(w.Header().Get("Location"), "login_error=") {
				t.Errorf("%d: %v", w.Code, w.Header())
			}
		})
	}
	<-arrived
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() { defer close(left); begin(ctx) }()
	leave()
	select {
	case <-left:
	case <-time.After(30 * time.Second):
		t.Error("who left still waits for the provider")
	}
	close(release)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	clock.add(time.Minute)
	begin(t.Context())
	if n := asked.Load(); n != 2 {
		t.Errorf("the provider was asked %d times in all, also when a minute had passed", n)
	}
}
