package server_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// asNobody sends a request from a process of the user nobody and returns the answer, head
// and body.
func (l *live) asNobody(method, path string) string {
	l.t.Helper()
	if os.Geteuid() != 0 {
		l.t.Skip("only root can start a process of another user")
	}
	host, port, _ := strings.Cut(l.addr, ":")
	script := `exec 3<>/dev/tcp/$1/$2; printf '%s' "$3" >&3; cat <&3`
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, l.addr)
	cmd := exec.Command("bash", "-c", script, "bash", host, port, request)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s %s as nobody: %v", method, path, err)
	}
	return string(out)
}

// Only the server's own user and root need no token, on every route of the table.
func TestOtherUsersNeedAToken(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "nightly", nil).command()
	l.append(s)
	names := strings.NewReplacer("{run}", s.id, "{attempt}", "1", "{job}", "nightly", "{id}", s.id, "{name}", "x")
	for _, rt := range server.RouteList(l.srv) {
		if rt.Scope == access.Public {
			continue
		}
		got := l.asNobody(rt.Method, names.Replace(rt.Pattern))
		want := fmt.Sprintf("the connection belongs to user nobody, the server runs as root: set STINT_TOKEN (an admin makes one with: stint token create --scope %s --name nobody)", rt.Scope)
		if !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, want) {
			t.Errorf("%s %s as nobody:\n%s\nwant 401 with: %s", rt.Method, rt.Pattern, got, want)
		}
	}
	if got := l.asNobody("GET", "/api/v1/me"); !strings.Contains(got, `"scope":""`) {
		t.Errorf("the page of another user is not asked to log in: %s", got)
	}
	l.get("/api/v1/runs").ok(t, nil)
}

// A request that came through a proxy needs a token, also if the server's user runs the proxy.
func TestForwardedRequestsNeedAToken(t *testing.T) {
	l := start(t, server.Config{})
	token := l.mint(access.Read, time.Time{}, time.Now())
	for _, name := range []string{"Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "x_forwarded_for", "X_Real_IP"} {
		p := l.get("/api/v1/jobs", name, "x").problem(t, http.StatusUnauthorized)
		if !strings.Contains(p.Detail, "proxy") || !strings.Contains(p.Detail, "stint token create --scope read --name NAME") {
			t.Errorf("%s: %s", name, p.Detail)
		}
		l.get("/api/v1/jobs", name, "x", "Host", "stint.example.org").problem(t, http.StatusUnauthorized)
		l.get("/api/v1/jobs", name, "x", "Authorization", "Bearer "+token).ok(t, nil)
	}
	l.get("/api/v1/jobs").ok(t, nil)
}

// What asks everybody for a token asks also the server's own user.
func TestConfigurationsThatAskEverybody(t *testing.T) {
	oidc := accessapi.OIDC{Issuer: "https://id.example", ClientID: "c", Grants: []string{"@example.org=read"}}
	for name, cfg := range map[string]server.Config{
		"require token":       {RequireToken: true},
		"public URL":          {PublicURL: "https://stint.example.org"},
		"OIDC":                {PublicURL: "http://localhost:1", OIDC: oidc},
		"allowed name":        {RequireToken: true, Hosts: []string{"localhost"}},
		"allowed public name": {PublicURL: "https://stint.example.org", Hosts: []string{"stint.example.org"}},
	} {
		l := start(t, cfg)
		l.get("/api/v1/jobs").problem(t, http.StatusUnauthorized)
		l.get("/api/v1/jobs", "Host", "stint.example.org").problem(t, http.StatusUnauthorized)
		var who me
		l.get("/api/v1/me").ok(t, &who)
		if who.Scope != "" {
			t.Errorf("%s: the page does not ask: %+v", name, who)
		}
	}
}
