package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// session logs in with a token and returns the Cookie header of the session.
func (l *live) session(secret string) string {
	l.t.Helper()
	r := l.do("POST", "/api/v1/login", []byte(fmt.Sprintf(`{"token":%q}`, secret)))
	r.ok(l.t, nil)
	cookie, rest, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(rest, want) {
			l.t.Errorf("the session's cookie lacks %s: %s", want, rest)
		}
	}
	return cookie
}

type me struct {
	Name, Scope, Via string
	Server           string
	Login            []string
}

func TestSession(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	var who me
	l.get("/api/v1/me").ok(t, &who)
	if who.Scope != "" || len(who.Login) != 1 || who.Server != l.store.Installation() {
		t.Errorf("before the login: %+v", who)
	}
	l.do("POST", "/api/v1/login", []byte(`{"token":"stint_wrong"}`)).problem(t, http.StatusUnauthorized)
	agent := l.mint(access.Agent, time.Time{}, c.now())
	l.do("POST", "/api/v1/login", []byte(fmt.Sprintf(`{"token":%q}`, agent))).problem(t, http.StatusForbidden)

	cookie := l.session(l.mint(access.Write, time.Time{}, c.now()))
	l.get("/api/v1/me", "Cookie", cookie).ok(t, &who)
	if who.Name != "for write" || who.Scope != "write" || who.Via != "session" {
		t.Errorf("after the login: %+v", who)
	}
	l.get("/api/v1/runs", "Cookie", cookie).ok(t, nil)
	l.get("/api/v1/tokens", "Cookie", cookie).problem(t, http.StatusForbidden)

	// A session stays while it is used, ends when it is not, and never outlives a week.
	for range 3 {
		c.add(11 * time.Hour)
		l.get("/api/v1/runs", "Cookie", cookie).ok(t, nil)
	}
	c.add(12 * time.Hour)
	l.get("/api/v1/runs", "Cookie", cookie).problem(t, http.StatusUnauthorized)
	l.get("/api/v1/me", "Cookie", cookie).ok(t, &who)
	if who.Scope != "" {
		t.Errorf("after 12 idle hours: %+v", who)
	}

	cookie = l.session(l.mint(access.Read, time.Time{}, c.now()))
	for range 15 {
		l.get("/api/v1/runs", "Cookie", cookie).ok(t, nil)
		c.add(11 * time.Hour)
	}
	c.add(4 * time.Hour) // 169 hours
	l.get("/api/v1/runs", "Cookie", cookie).problem(t, http.StatusUnauthorized)

	cookie = l.session(l.mint(access.Read, time.Time{}, c.now()))
	l.do("POST", "/api/v1/logout", nil, "Cookie", cookie).ok(t, nil)
	l.get("/api/v1/runs", "Cookie", cookie).problem(t, http.StatusUnauthorized)
}

func TestSessionEndsWithItsToken(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	cookie := l.session(l.mint(access.Read, c.now().Add(time.Hour), c.now()))
	l.get("/api/v1/runs", "Cookie", cookie).ok(t, nil)
	c.add(time.Hour)
	l.get("/api/v1/runs", "Cookie", cookie).problem(t, http.StatusUnauthorized)

	admin := l.mint(access.Admin, time.Time{}, c.now())
	secret := l.mint(access.Write, time.Time{}, c.now())
	cookie = l.session(secret)
	var list struct{ Tokens []access.Token }
	l.get("/api/v1/tokens", "Authorization", "Bearer "+admin).ok(t, &list)
	for _, tok := range list.Tokens {
		if tok.Name == "for write" {
			l.do("DELETE", "/api/v1/tokens/"+tok.ID, nil, "Authorization", "Bearer "+admin)
		}
	}
	l.get("/api/v1/runs", "Cookie", cookie).problem(t, http.StatusUnauthorized)
	l.get("/api/v1/runs", "Authorization", "Bearer "+secret).problem(t, http.StatusUnauthorized)
}

func TestSessionAgainstForgedRequests(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	cookie := l.session(l.mint(access.Write, time.Time{}, c.now()))
	s := newSketch(t, "j", nil).command()
	l.append(s)
	path := "/api/v1/runs/" + s.id + "/cancel"
	p := l.do("POST", path, nil, "Cookie", cookie).problem(t, http.StatusForbidden)
	if !strings.Contains(p.Detail, "X-Stint-CSRF") {
		t.Errorf("the answer does not say what is missing: %s", p.Detail)
	}
	l.do("POST", path, nil, "Cookie", cookie, "X-Stint-CSRF", "1", "Origin", "https://evil.example").problem(t, http.StatusForbidden)
	l.do("POST", path, nil, "Cookie", cookie, "X-Stint-CSRF", "1", "Sec-Fetch-Site", "cross-site").problem(t, http.StatusForbidden)
	if run, err := l.store.Run(t.Context(), s.id); err != nil || run.Cancel != nil {
		t.Fatalf("a forged request canceled the run: %+v, %v", run.Cancel, err)
	}
	l.do("POST", path, []byte(`{"by":"the pope","why":"late"}`), "Cookie", cookie, "X-Stint-CSRF", "1", "Content-Type", "application/json").ok(t, nil)
	run, err := l.store.Run(t.Context(), s.id)
	if err != nil || run.Cancel == nil || run.Cancel.By != "for write" {
		t.Errorf("cancel by a session: %+v, %v", run.Cancel, err)
	}
}

// append stores a sketch past all access.
func (l *live) append(s *sketch) {
	l.t.Helper()
	got, _, err := l.store.Ingest(l.t.Context(), []index.Append{{Run: s.id, Attempt: 1, Data: s.bytes(), At: time.Now()}}, nil)
	if err != nil || got[0].Err != nil {
		l.t.Fatal(err, got)
	}
}

// What is refused has changed nothing: every route, with no token, a wrong one, and one of
// too small a scope.
func TestRefusedRequestsChangeNothing(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	s := newSketch(t, "nightly", nil).command().output("hello\n")
	l.append(s)
	secrets := map[access.Scope]string{}
	for _, sc := range []access.Scope{access.Agent, access.Read, access.Write, access.Author, access.Worker} {
		secrets[sc] = l.mint(sc, time.Time{}, c.now())
	}
	tokens, err := l.store.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("{run}", s.id, "{attempt}", "1", "{job}", "nightly", "{id}", tokens[0].ID, "{name}", "x")
	state := func() string {
		run, err := l.store.Run(t.Context(), s.id)
		if err != nil {
			t.Fatal(err)
		}
		run.LastHeartbeatAt = nil
		tokens, err := l.store.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range tokens {
			tokens[i].LastUsedAt = nil
		}
		size, err := l.store.JournalSize(t.Context(), s.id, 1)
		if err != nil {
			t.Fatal(err)
		}
		last, err := l.store.LastEventID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		audit, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		audit = slices.DeleteFunc(audit, func(e access.AuditEntry) bool { return strings.HasPrefix(e.Action, "refused") })
		text, err := json.Marshal([]any{run, tokens, size, last, audit})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := state()
	refused := 0
	for _, rt := range server.RouteList(l.srv) {
		if rt.Scope == access.Public {
			continue
		}
		path := names.Replace(rt.Pattern)
		if strings.HasSuffix(rt.Pattern, "/journal") && rt.Method == "POST" {
			path += fmt.Sprintf("?offset=%d", len(s.bytes()))
		}
		tries := []struct {
			header string
			status int
		}{{"", 401}, {"Bearer stint_" + strings.Repeat("x", 43), 401}, {"Bearer", 401}}
		for sc, secret := range secrets {
			if !sc.Allows(rt.Scope) {
				tries = append(tries, struct {
					header string
					status int
				}{"Bearer " + secret, 403})
			}
		}
		for _, try := range tries {
			c.add(time.Minute) // so that wrong tokens are not too many
			headers := []string{"Content-Type", "application/json"}
			if try.header != "" {
				headers = append(headers, "Authorization", try.header)
			}
			r := l.do(rt.Method, path, []byte(`{"status":"failed"}`), headers...)
			if r.status != try.status {
				t.Errorf("%s %s with %.12q: %d, want %d", rt.Method, rt.Pattern, try.header, r.status, try.status)
			}
			refused++
		}
	}
	if after := state(); after != before {
		t.Errorf("refused requests changed something:\nbefore %s\nafter  %s", before, after)
	}
	t.Logf("%d requests were refused", refused)
}

// Wrong tokens are answered at a limited rate; a right one is never refused because of
// them, also when nobody has looked it up for long, nor is a login with it.
func TestManyWrongTokens(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	wrong := "Bearer stint_" + strings.Repeat("x", 43)
	for i := range 10 {
		if r := l.get("/api/v1/runs", "Authorization", wrong); r.status != http.StatusUnauthorized {
			t.Fatalf("wrong token %d: %d", i, r.status)
		}
	}
	for _, header := range []string{wrong, "Bearer", "Bearer nonsense", "Basic x"} {
		r := l.get("/api/v1/runs", "Authorization", header)
		if p := r.problem(t, http.StatusTooManyRequests); r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After: %+v", header, p)
		}
	}
	l.do("POST", "/api/v1/login", []byte(`{"token":"stint_wrong"}`)).problem(t, http.StatusTooManyRequests)
	for range 10 {
		right := l.mint(access.Read, time.Time{}, c.now())
		l.get("/api/v1/runs", "Authorization", wrong).problem(t, http.StatusTooManyRequests)
		l.get("/api/v1/runs", "Authorization", "Bearer "+right).ok(t, nil)
		l.session(right)
	}
	c.add(time.Hour)
	l.get("/api/v1/runs", "Authorization", wrong).problem(t, http.StatusUnauthorized)
}

// A token with the scope agent goes on only with runs that it began.
func TestAgentTokenWritesItsOwnRunsOnly(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	mine := []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, c.now())}
	other := []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, c.now())}
	admin := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, c.now())}
	s := newSketch(t, "nightly", nil).command()
	begun := s.bytes()
	path := "/api/v1/runs/" + s.id + "/attempts/1"
	l.do("POST", path+"/journal?offset=0", begun, mine...).ok(t, nil)
	more := s.output("more\n").bytes()[len(begun):]
	at := fmt.Sprintf("/journal?offset=%d", len(begun))
	beat := []byte(`{"seq":1,"period_ms":1000}`)
	l.do("POST", path+at, more, other...).problem(t, http.StatusForbidden)
	l.do("POST", path+"/heartbeat", beat, other...).problem(t, http.StatusForbidden)
	second := newAttempt(t, s.id, 2, "nightly", nil)
	l.do("POST", "/api/v1/runs/"+s.id+"/attempts/2/journal?offset=0", second.bytes(), other...).problem(t, http.StatusForbidden)
	if size, err := l.store.JournalSize(t.Context(), s.id, 1); err != nil || size != int64(len(begun)) {
		t.Errorf("another token's bytes were stored: %d, %v", size, err)
	}
	l.do("POST", path+at, more, mine...).ok(t, nil)
	l.do("POST", path+"/heartbeat", beat, mine...).ok(t, nil)
	l.do("POST", path+"/heartbeat", beat, admin...).ok(t, nil)

	// With any token another journal is refused because its id was used before.
	l.do("POST", path+"/journal?offset=0", begun, other...).problem(t, http.StatusForbidden)
	if p := l.do("POST", path+"/journal?offset=0", newAttempt(t, s.id, 1, "nightly", nil).bytes(), other...).problem(t, http.StatusConflict); p.Type != job.ProblemRunIDUsed {
		t.Errorf("another journal with another token: %+v", p)
	}

	// The two-call wire is no way around it.
	l.do("PUT", "/compat/legacy/status", []byte(`{"status":"started"}`), mine...).ok(t, nil)
	l.do("PUT", "/compat/legacy/status", []byte(`{"status":"completed"}`), other...).problem(t, http.StatusForbidden)
	l.do("PUT", "/compat/legacy/status", []byte(`{"status":"completed"}`), mine...).ok(t, nil)
}

// A run that was begun with an admin's token, or before there were tokens, is not taken
// over by an agent's token: neither written to nor read back.
func TestRunsWithoutAnOwnerAreNotTakenOver(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	agent := []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, c.now())}
	admin := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, c.now())}
	byAdmin, before := newSketch(t, "nightly", nil).command(), newSketch(t, "hourly", nil).command()
	l.do("POST", "/api/v1/runs/"+byAdmin.id+"/attempts/1/journal?offset=0", byAdmin.bytes(), admin...).ok(t, nil)
	l.append(before)
	for _, s := range []*sketch{byAdmin, before} {
		size := len(s.bytes())
		path := "/api/v1/runs/" + s.id + "/attempts/"
		second := newAttempt(t, s.id, 2, "nightly", nil)
		more := s.output("forged\n").bytes()[size:]
		for _, try := range []struct {
			method, path string
			body         []byte
		}{
			{"GET", path + "1/journal/rest?offset=0", nil},
			{"POST", path + fmt.Sprintf("1/journal?offset=%d", size), nil},
			{"POST", path + fmt.Sprintf("1/journal?offset=%d", size), more},
			{"POST", path + "1/heartbeat", []byte(`{"seq":1,"period_ms":1000}`)},
			{"POST", path + "2/journal?offset=0", second.bytes()},
			{"GET", path + "1/journal/rest?offset=0", nil},
		} {
			p := l.do(try.method, try.path, try.body, agent...).problem(t, http.StatusForbidden)
			if !strings.Contains(p.Detail, "admin") {
				t.Errorf("%s %s: %s", try.method, try.path, p.Detail)
			}
		}
		if got, err := l.store.JournalSize(t.Context(), s.id, 1); err != nil || got != int64(size) {
			t.Errorf("run %s has %d bytes, want %d, %v", s.id, got, size, err)
		}
		l.do("POST", path+fmt.Sprintf("1/journal?offset=%d", size), more, admin...).ok(t, nil)
	}
	// Nor through the two-call wire.
	l.do("PUT", "/compat/legacy/status", []byte(`{"status":"started"}`), admin...).ok(t, nil)
	for _, call := range [][2]string{{"status", `{"status":"completed"}`}, {"status", `{"status":"started"}`}, {"heartbeat", ""}} {
		l.do("PUT", "/compat/legacy/"+call[0], []byte(call[1]), agent...).problem(t, http.StatusForbidden)
	}
}

func TestAuditLog(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	admin := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, c.now()), "Content-Type", "application/json"}
	s := newSketch(t, "nightly", nil).command()
	l.append(s)
	l.do("POST", "/api/v1/runs/"+s.id+"/cancel", nil, admin...).ok(t, nil)
	l.do("POST", "/api/v1/runs/00000000-0000-7000-8000-000000000000/cancel", nil, admin...).problem(t, http.StatusNotFound)
	var made struct {
		Token, Name, ID string
	}
	l.do("POST", "/api/v1/tokens", []byte(`{"name":"ci","scope":"agent","expires_seconds":3600}`), admin...).ok(t, &made)
	if !strings.HasPrefix(made.Token, "stint_") || made.Name != "ci" {
		t.Fatalf("made token: %+v", made)
	}
	l.do("POST", "/api/v1/tokens", []byte(`{"name":"ci","scope":"root"}`), admin...).problem(t, http.StatusBadRequest)
	if r := l.do("DELETE", "/api/v1/tokens/"+made.ID, nil, admin...); r.status != http.StatusNoContent {
		t.Errorf("revoke: %d %s", r.status, r.body)
	}
	l.do("DELETE", "/api/v1/tokens/nonsense", nil, admin...).problem(t, http.StatusNotFound)
	type page struct {
		Entries    []access.AuditEntry
		NextCursor int64 `json:"next_cursor"`
	}
	var first, second page
	l.get("/api/v1/audit?limit=4", admin[:2]...).ok(t, &first)
	l.get(fmt.Sprintf("/api/v1/audit?limit=4&cursor=%d", first.NextCursor), admin[:2]...).ok(t, &second)
	var got []string
	for _, e := range append(first.Entries, second.Entries...) {
		if e.Who != "for admin" || e.Via != "token" || e.Address == "" {
			t.Errorf("entry %+v", e)
		}
		got = append(got, fmt.Sprintf("%s %d", e.Action, e.Status))
	}
	want := []string{
		"DELETE /api/v1/tokens/{id} 404", "DELETE /api/v1/tokens/{id} 204", "POST /api/v1/tokens 400", "POST /api/v1/tokens 200",
		"POST /api/v1/runs/{run}/cancel 404", "POST /api/v1/runs/{run}/cancel 200",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audit log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, e := range first.Entries {
		if strings.Contains(fmt.Sprint(e), made.Token) {
			t.Error("a secret is in the audit log")
		}
	}
}
