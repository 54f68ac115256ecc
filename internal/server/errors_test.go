package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// provocation is a request that most routes refuse.
type provocation struct {
	name    string
	method  string // of the route when empty
	query   string
	body    []byte
	headers []string
	status  int // at least one route answers this
}

var provocations = []provocation{
	{name: "as it is", status: 404},
	{name: "a method that no route has", method: "TRACE", status: 405},
	{name: "another method", method: "PATCH", status: 405},
	{name: "an unknown parameter", query: "nosuch=1", status: 400},
	{name: "a parameter out of range", query: "offset=-1&limit=-1&points=0", status: 400},
	{name: "a body that is no JSON", body: []byte("{"), headers: []string{"Content-Type", "application/json"}, status: 400},
	{name: "a body of another type", body: []byte("<a/>"), headers: []string{"Content-Type", "text/xml"}, status: 415},
	{name: "a large body", body: bytes.Repeat([]byte("x"), 9<<20), headers: []string{"Content-Type", "application/json"}, status: 413},
	{name: "an unknown encoding", query: "offset=0", body: []byte("x"), headers: []string{"Content-Encoding", "br"}, status: 415},
	{name: "not zstd", query: "offset=0", body: []byte("x"), headers: []string{"Content-Encoding", "zstd"}, status: 400},
	{name: "no journal", query: "offset=0", body: []byte("no journal at all"), status: 422},
	{name: "beyond the journal", query: "offset=7", body: []byte("x"), status: 409},
	{name: "a wrong token", headers: []string{"Authorization", "Bearer stint_wrong"}, status: 401},
	{name: "another host", headers: []string{"Host", "stint.example.org"}, status: 421},
	{name: "a page of another site", headers: []string{"Origin", "https://evil.example.org", "Sec-Fetch-Site", "cross-site"}, status: 403},
	{name: "a range that is none", headers: []string{"Range", "bytes=99999-"}, status: 0},
}

// checkError fails the test unless an answer is no error, or a problem with a type of ours.
func checkError(t *testing.T, what string, r reply, head bool) {
	t.Helper()
	if r.status < 400 {
		return
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: %d of the type %q: %.200s", what, r.status, kind, r.body)
	}
	if head {
		return
	}
	var p job.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || !p.FromStint() || p.Status != r.status || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: %d %.300s (%v)", what, r.status, r.body, err)
	}
}

// provoke sends a provocation to a route.
func (l *live) provoke(method, pattern string, p provocation, headers ...string) reply {
	path := strings.NewReplacer("{run}", "01890a5d-ac96-774b-bcce-b302099a8057", "{attempt}", "1", "{job}", "nosuch", "{name}", "nosuch", "{id}", "7").Replace(pattern)
	if p.query != "" {
		path += "?" + p.query
	} else if path == "/api/v1/stream" {
		path += "?nosuch=1" // else it never ends
	}
	if p.method != "" {
		method = p.method
	}
	return l.do(method, path, p.body, append(slices.Clone(p.headers), headers...)...)
}

// Every error of every route is a problem whose type begins with urn:stint:, so that nobody
// takes the error of something else for the server's.
func TestEveryErrorHasAType(t *testing.T) {
	seen := map[string]map[int]bool{}
	l := start(t, server.Config{})
	for _, rt := range server.RouteList(l.srv) {
		if strings.HasPrefix(rt.Pattern, "/ping/") { // answered as by Healthchecks: pings_test.go
			continue
		}
		for _, p := range provocations {
			what := rt.Method + " " + rt.Pattern + ", " + p.name
			r := l.provoke(rt.Method, rt.Pattern, p)
			checkError(t, what, r, false)
			if seen[p.name] == nil {
				seen[p.name] = map[int]bool{}
			}
			seen[p.name][r.status] = true
		}
	}
	for _, p := range provocations {
		if p.status != 0 && !seen[p.name][p.status] {
			t.Errorf("%s: no route answered %d: %v", p.name, p.status, seen[p.name])
		}
	}
	for _, path := range []string{"/", "/runs/x", "/api", "/api/v1/nosuch", "/api/v1/runs/x/attempts/0/journal", "/compat", "/sub/api/v1/runs"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"} {
			checkError(t, method+" "+path, l.do(method, path, nil), method == "HEAD")
		}
	}
}

// The same where a token is asked for, and where the database is away.
func TestErrorsOfAccessAndOfTheDatabaseHaveTypes(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	agent, admin := l.mint(access.Agent, time.Time{}, time.Now()), l.mint(access.Admin, time.Time{}, time.Now())
	refused := map[int]int{}
	for _, rt := range server.RouteList(l.srv) {
		if rt.Scope == access.Public {
			continue
		}
		what := rt.Method + " " + rt.Pattern
		none := l.provoke(rt.Method, rt.Pattern, provocation{})
		checkError(t, what+" without a token", none, false)
		refused[none.status]++
		if rt.Scope != access.Agent {
			small := l.provoke(rt.Method, rt.Pattern, provocation{}, "Authorization", "Bearer "+agent)
			checkError(t, what+" of an agent", small, false)
			refused[small.status]++
		}
	}
	if len(refused) != 2 || refused[401] < 30 || refused[403] < 30 {
		t.Errorf("answered %v, want only 401 and 403", refused)
	}
	l.do("GET", "/api/v1/runs", nil, "Authorization", "Bearer "+admin).ok(t, nil) // known from now on
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, rt := range server.RouteList(l.srv) {
		if strings.HasSuffix(rt.Pattern, "/stream") || strings.HasPrefix(rt.Pattern, "/ping/") {
			continue
		}
		for _, p := range []provocation{{}, {query: "offset=0", body: []byte(`{"status":"started"}`), headers: []string{"Content-Type", "application/json"}}} {
			r := l.provoke(rt.Method, rt.Pattern, p, "Authorization", "Bearer "+admin)
			checkError(t, rt.Method+" "+rt.Pattern+" without a database", r, false)
			if r.status >= 500 {
				failed++
			}
		}
	}
	if failed < 20 {
		t.Errorf("only %d calls failed without a database", failed)
	}
}

// A body that never arrives, and an agent without its certificate.
func TestErrorsOfConnectionsHaveTypes(t *testing.T) {
	l := start(t, server.Config{AgentCertificates: true})
	p := l.do("POST", journalPath("01890a5d-ac96-774b-bcce-b302099a8057", 1, 0), nil).problem(t, http.StatusUnauthorized)
	if p.Type != job.ProblemUnauthorized {
		t.Errorf("type %s", p.Type)
	}
	conn, r := l.dial()
	if _, err := io.WriteString(conn, "POST /api/v1/runs/x/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\nContent-Type: application/json\r\n\r\n"+strings.Repeat(" ", 70000)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, "a body over the limit", reply{resp.StatusCode, resp.Header, body}, false)
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}
