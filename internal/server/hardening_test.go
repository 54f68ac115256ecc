package server_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// A duplicate key, in whatever letters, or one that a call does not know is refused in
// the body of every call but those of agents, which may be newer than the server.
func TestBodiesWithWrongKeys(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	s := newSketch(t, "nightly", nil).command()
	l.append(s)
	headers := []string{"Content-Type", "application/json"}
	secret := l.mint(access.Read, time.Time{}, c.now())
	run := "/api/v1/runs/" + s.id
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","scope":"admin"}`},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","Scope":"admin"}`},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","\u0073cope":"admin"}`},
		{"POST", "/api/v1/tokens", `{"name":"x","Scope":"admin"}`},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","hash":"x"}`},
		{"POST", "/api/v1/tokens", `{"name":"x","scope":"read","id":"x"}`},
		{"POST", "/api/v1/login", `{"token":"` + secret + `","token":"` + secret + `"}`},
		{"POST", "/api/v1/login", `{"Token":"` + secret + `"}`},
		{"POST", "/api/v1/login", `{"token":"` + secret + `","next":"/"}`},
		{"POST", run + "/cancel", `{"by":"a","by":"b"}`},
		{"POST", run + "/cancel", `{"force":true}`},
		{"POST", run + "/acknowledge", `{"by":"a","BY":"b"}`},
		{"POST", run + "/retry", `{"attempt":2}`},
		{"POST", "/api/v1/runs/cancel", `{"runs":["` + s.id + `"],"runs":[]}`},
		{"POST", run + "/attempts/1/heartbeat", `{"sequence":1,"period_ms":1000,"period_ms":1}`},
		{"POST", run + "/attempts/1/heartbeat", `{"sequence":1,"Sequence":2,"period_ms":1000}`},
		{"POST", run + "/attempts/1/heartbeat", `{"sequence":1,"pressure":{"x":{"y":1,"y":2}}}`},
		{"PUT", "/compat/legacy/status", `{"status":"started","status":"failed"}`},
		{"PUT", "/api/v1/routes/x", `{"url":"https://example.org","match":{"job":"a","job":"b"}}`},
		{"PUT", "/api/v1/routes/x", `{"url":"https://example.org","match":{"nothing":1}}`},
		{"POST", "/api/v1/tokens", strings.Repeat("[", 60_000)},
		{"POST", "/api/v1/tokens", strings.Repeat(`{"a":`, 10_000)},
	} {
		p := l.do(tt.method, tt.path, []byte(tt.body), headers...).problem(t, http.StatusBadRequest)
		if !strings.Contains(p.Detail, "body has") {
			t.Errorf("%s %s %.100s: %s", tt.method, tt.path, tt.body, p.Detail)
		}
	}
	if all, err := l.store.Tokens(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("a refused body made a token: %+v, %v", all, err)
	}
	l.do("POST", run+"/attempts/1/heartbeat", []byte(`{"sequence":1,"period_ms":1000,"newer":{"a":[1,{"b":2}]}}`), headers...).ok(t, nil)
	l.do("PUT", "/compat/legacy/status", []byte(`{"status":"started","host":"old"}`), headers...).ok(t, nil)
	l.do("POST", "/api/v1/tokens", []byte(`{"name":"x","scope":"read","expires_seconds":60}`), headers...).ok(t, nil)
}

// What the interface answers is stored by no cache and no browser.
func TestAnswersAreNotStored(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "nightly", nil).command().output("hello\n")
	l.append(s)
	names := strings.NewReplacer("{run}", s.id, "{attempt}", "1", "{job}", "nightly", "{id}", s.id, "{name}", "x")
	for _, rt := range server.RouteList(l.srv) {
		path := names.Replace(rt.Pattern)
		method := rt.Method
		if strings.HasSuffix(rt.Pattern, "/stream") {
			method = "HEAD"
		}
		if strings.HasSuffix(rt.Pattern, "/search") {
			path += "?q=hello"
		}
		for _, headers := range [][]string{nil, {"Authorization", "Bearer wrong"}} {
			r := l.do(method, path, nil, headers...)
			if got := r.header.Get("Cache-Control"); !strings.Contains(got, "no-store") {
				t.Errorf("%s %s: %d with Cache-Control %q", method, path, r.status, got)
			}
		}
	}
	if got := l.get("/api/v1/nothing").header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("404: Cache-Control %q", got)
	}
}

// Under TLS cookies are bound to the host and browsers are asked to stay with TLS.
func TestCookiesUnderTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		public string
		tls    bool
		secure bool
	}{
		"plain":             {},
		"TLS":               {tls: true, secure: true},
		"behind a proxy":    {public: "https://stint.example.org", secure: true},
		"plain, of its own": {public: "http://localhost:1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, server.Config{RequireToken: true, PublicURL: tt.public})
			secret := l.mint(access.Read, time.Time{}, time.Now())
			send := func(method, path, body, cookie string) *httptest.ResponseRecorder {
				req := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
				if tt.tls {
					req.TLS = &tls.ConnectionState{}
				}
				if cookie != "" {
					req.Header.Set("Cookie", cookie)
				}
				rec := httptest.NewRecorder()
				l.srv.Handler().ServeHTTP(rec, req)
				return rec
			}
			rec := send("POST", "/api/v1/login", `{"token":"`+secret+`"}`, "")
			cookie, flags, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
			key, value, _ := strings.Cut(cookie, "=")
			want := "stint_session"
			if tt.secure {
				want = "__Host-stint_session"
			}
			if key != want || strings.Contains(flags, "Secure") != tt.secure || !strings.Contains(flags, "Path=/") || strings.Contains(flags, "Domain") {
				t.Errorf("cookie %s;%s", key, flags)
			}
			if hsts := rec.Header().Get("Strict-Transport-Security"); (hsts != "") != tt.secure {
				t.Errorf("Strict-Transport-Security: %q", hsts)
			}
			if got := send("GET", "/api/v1/runs", "", cookie).Code; got != http.StatusOK {
				t.Errorf("with the cookie: %d", got)
			}
			other := strings.TrimPrefix("__Host-"+key, "__Host-__Host-")
			if got := send("GET", "/api/v1/runs", "", other+"="+value).Code; got != http.StatusUnauthorized {
				t.Errorf("with the cookie %s: %d", other, got)
			}
			out := send("POST", "/api/v1/logout", "", cookie)
			if gone := out.Header().Get("Set-Cookie"); !strings.HasPrefix(gone, want+"=;") {
				t.Errorf("log-out sets %q", gone)
			}
		})
	}
}

// logLines is a log that tests read.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// line is the first line with a text.
func (l *logLines) line(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// Refused log-ins and tokens are in the log and in the audit log, with their address: the
// first at once, the rest in one entry a minute.
func TestRefusalsAreReported(t *testing.T) {
	c := newClock()
	lines := &logLines{}
	l := start(t, server.Config{RequireToken: true, Now: c.now, Log: slog.New(slog.NewTextHandler(lines, nil))})
	entries := func() (got []string) {
		all, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Status != http.StatusUnauthorized || e.Address != "127.0.0.1" {
				t.Errorf("entry %+v", e)
			}
			got = append(got, e.Action)
		}
		return got
	}
	secret := "stint_" + strings.Repeat("x", 43)
	l.do("POST", "/api/v1/login", []byte(`{"token":"`+secret+`"}`)).problem(t, http.StatusUnauthorized)
	for range 30 {
		l.get("/api/v1/runs", "Authorization", "Bearer "+secret)
	}
	l.do("POST", "/api/v1/login", []byte(`{"token":"`+l.mint(access.Agent, time.Time{}, c.now())+`"}`)).problem(t, http.StatusForbidden)
	if got := entries(); len(got) != 1 || got[0] != "refused" {
		t.Errorf("audit log: %v", got)
	}
	if n := lines.count("was refused"); n != 1 || lines.count("address=127.0.0.1") != 1 || lines.count(secret) > 0 {
		t.Errorf("%d lines in the log:\n%s", n, lines.buf.String())
	}
	c.add(time.Minute)
	for len(entries()) < 2 { // the server looks each second
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	if got := entries(); len(got) != 2 || got[0] != "refused, 31 times" {
		t.Errorf("audit log: %v", got)
	}
}

// Whatever way in somebody is refused, it is in the log and in the audit log.
func TestEveryRefusalIsReported(t *testing.T) {
	c, lines, idp := newClock(), &logLines{}, newIdentityProvider(t)
	l := start(t, server.Config{
		RequireToken: true, Now: c.now, Log: slog.New(slog.NewTextHandler(lines, nil)), PublicURL: "http://stint.example",
		OIDC: accessapi.OIDC{Issuer: idp.URL, ClientID: "stint", Grants: []string{"eve@example.org=read"}},
	})
	wrong := "stint_" + strings.Repeat("x", 43)
	expired := l.mint(access.Read, c.now().Add(time.Minute), c.now())
	revoked := l.mint(access.Read, time.Time{}, c.now())
	tokens, err := l.store.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens {
		if k.ExpiresAt != nil {
			continue
		}
		if err := l.store.RevokeToken(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
	}
	c.add(time.Hour)
	logIn := func(address, token string) int {
		return l.from(address, "POST", "/api/v1/login", `{"token":"`+token+`"}`, "Content-Type", "application/json").Code
	}
	// back is a browser that comes back from the identity provider.
	back := func(address string, query func(state string) string) int {
		began := l.from(address, "GET", "/api/v1/oidc/start", "")
		to := began.Header().Get("Location")
		resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(to)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		cookie, _, _ := strings.Cut(began.Header().Get("Set-Cookie"), ";")
		return l.from(address, "GET", "/api/v1/oidc/callback?"+query(u.Query().Get("state")), "", "Cookie", cookie).Code
	}
	for i, tt := range []struct {
		name   string
		try    func(address string) int
		status int
		why    string
	}{
		{"token", func(a string) int { return l.from(a, "GET", "/api/v1/runs", "", "Authorization", "Bearer "+wrong).Code }, 401, "is not valid"},
		{"token that was revoked", func(a string) int {
			return l.from(a, "GET", "/api/v1/runs", "", "Authorization", "Bearer "+revoked).Code
		}, 401, "is not valid"},
		{"token that has expired", func(a string) int {
			return l.from(a, "GET", "/api/v1/runs", "", "Authorization", "Bearer "+expired).Code
		}, 401, "has expired"},
		{"log-in", func(a string) int { return logIn(a, wrong) }, 401, "is not valid"},
		{"log-in with a token that has expired", func(a string) int { return logIn(a, expired) }, 401, "has expired"},
		{"log-in of an agent", func(a string) int { return logIn(a, l.mint(access.Agent, time.Time{}, c.now())) }, 403, "has the scope agent"},
		{"log-in that was not begun", func(a string) int { return l.from(a, "GET", "/api/v1/oidc/callback?state=x&code=y", "").Code }, 303, "has not begun the login"},
		{"log-in that the provider refused", func(a string) int {
			return back(a, func(state string) string { return "error=access_denied&state=" + state })
		}, 303, "access_denied"},
		{"log-in that cannot be verified", func(a string) int {
			return back(a, func(state string) string { return "code=another&state=" + state })
		}, 303, "could not be verified"},
		{"log-in without a grant", func(a string) int {
			return back(a, func(state string) string { return "code=the-code&state=" + state })
		}, 303, "has no grant"},
	} {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		if got := tt.try(address + ":1000"); got != tt.status {
			t.Errorf("%s: answered %d, want %d", tt.name, got, tt.status)
		}
		all, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		entries := slices.DeleteFunc(all, func(e access.AuditEntry) bool { return e.Address != address })
		if len(entries) != 1 || entries[0].Action != "refused" || entries[0].Status != http.StatusUnauthorized {
			t.Errorf("%s: audit log %+v", tt.name, entries)
		}
		line := lines.line("address=" + address + " ")
		if !strings.Contains(line, "was refused") || !strings.Contains(line, tt.why) || strings.Contains(line, wrong) {
			t.Errorf("%s: the log says %q", tt.name, line)
		}
	}
}
