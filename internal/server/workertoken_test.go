package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
)

// A server with a token for a worker asks everybody for a token, also on a loopback address, and does not
// lock its operator out.
func TestServerWithWorkersAsksForTokens(t *testing.T) {
	l := start(t, server.Config{})
	create := func(body string, headers ...string) reply {
		return l.do("POST", "/api/v1/tokens", []byte(body), append(headers, "Content-Type", "application/json")...)
	}
	const worker = `{"name":"w7","scope":"worker","worker":"w7","labels":{"zone":"fra"}}`
	if p := create(worker).problem(t, http.StatusConflict); !strings.Contains(p.Detail, "none of the scope admin") {
		t.Error(p.Detail)
	}
	var admin struct{ Token string }
	create(`{"name":"root","scope":"admin"}`).ok(t, &admin)
	l.get("/api/v1/runs").ok(t, nil)
	var made struct {
		ID, Token, Worker string
		Labels            map[string]string
	}
	create(worker).ok(t, &made)
	if made.Worker != "w7" || made.Labels["zone"] != "fra" {
		t.Errorf("%+v", made)
	}
	if p := l.get("/api/v1/runs").problem(t, http.StatusUnauthorized); !strings.Contains(p.Detail, "has workers") {
		t.Error(p.Detail)
	}
	as := []string{"Authorization", "Bearer " + admin.Token}
	l.do("GET", "/api/v1/runs", nil, as...).ok(t, nil)

	// So does the next server on the database, from its start.
	other := start(t, server.Config{Store: l.store})
	other.get("/api/v1/runs").problem(t, http.StatusUnauthorized)

	l.do("GET", "/api/v1/runs", nil, "Authorization", "Bearer "+made.Token).problem(t, http.StatusForbidden)
	l.do("POST", "/api/v1/login", []byte(`{"token":"`+made.Token+`"}`)).problem(t, http.StatusForbidden)
	if r := l.do("DELETE", "/api/v1/tokens/"+made.ID, nil, as...); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	l.get("/api/v1/runs").ok(t, nil)

	for _, body := range []string{
		`{"name":"x","scope":"worker"}`, `{"name":"x","scope":"worker","worker":"a/b"}`, `{"name":"x","scope":"agent","worker":"w7"}`,
		`{"name":"x","scope":"read","labels":{"a":"b"}}`, `{"name":"x","scope":"worker","worker":"w7","labels":{"":"b"}}`,
	} {
		create(body).problem(t, http.StatusBadRequest)
	}
}

// A token that another server on the database made counts when it is first used here.
func TestWorkerTokenOfAnotherServer(t *testing.T) {
	l := start(t, server.Config{})
	l.get("/api/v1/runs").ok(t, nil)
	secret := l.mint(access.Worker, time.Time{}, time.Now())
	l.do("GET", "/api/v1/runs", nil, "Authorization", "Bearer "+secret).problem(t, http.StatusForbidden)
	l.get("/api/v1/runs").problem(t, http.StatusUnauthorized)
}

// A worker that asks from another host makes the server ask everybody for a token, and one on the server's own machine
// does not.
func TestWorkerFromAnotherHost(t *testing.T) {
	l := start(t, server.Config{})
	l.mint(access.Worker, time.Time{}, time.Now())
	tokens, err := l.store.Tokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	as := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, time.Now())} // workers may use a token of another scope
	if r := l.do("DELETE", "/api/v1/tokens/"+tokens[0].ID, nil, as...); r.status != http.StatusNoContent {
		t.Fatalf("%d %s", r.status, r.body)
	}
	const path, poll = "/api/v1/workers/w7/claims", `{"claim_id":"0199aaaa-0000-7000-8000-000000000001","worker_id":"w","host":"h","version":"1","specs":[1],"slots":1}`
	as = append(as, "Content-Type", "application/json")
	if w := l.from("127.0.0.1:7", "POST", path, poll, as...); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	l.get("/api/v1/runs").ok(t, nil)
	if w := l.from("192.0.2.1:7", "POST", path, poll); w.Code != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", w.Code, w.Body)
	}
	l.get("/api/v1/runs").ok(t, nil)
	if w := l.from("192.0.2.1:7", "POST", path, poll, as...); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if p := l.get("/api/v1/runs").problem(t, http.StatusUnauthorized); !strings.Contains(p.Detail, "has workers") {
		t.Error(p.Detail)
	}
	l.do("GET", "/api/v1/runs", nil, as...).ok(t, nil)
}

// A server that asks for no tokens gives runs to workers on its own machine only.
func TestWorkersOfAnInsecureServer(t *testing.T) {
	l := start(t, server.Config{Insecure: true})
	const path, poll = "/api/v1/workers/w7/claims", `{"claim_id":"0199aaaa-0000-7000-8000-000000000001","worker_id":"w","host":"h","version":"1","specs":[1],"slots":1}`
	for from, want := range map[string]int{"127.0.0.1:7": http.StatusOK, "[::1]:7": http.StatusOK, "192.0.2.1:7": http.StatusForbidden, "[2001:db8::1]:7": http.StatusForbidden} {
		if w := l.from(from, "POST", path, poll, "Content-Type", "application/json"); w.Code != want {
			t.Errorf("from %s: %d %s", from, w.Code, w.Body)
		}
	}
	if w := l.from("127.0.0.1:7", "POST", path, poll, "Content-Type", "application/json", "X-Forwarded-For", "192.0.2.1"); w.Code != http.StatusForbidden {
		t.Errorf("through a proxy: %d %s", w.Code, w.Body)
	}
}
