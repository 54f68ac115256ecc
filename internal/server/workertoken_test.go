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
