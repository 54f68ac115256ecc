package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// foreignShapes are requests that might make a server take
// another user for its own. %[1]s is the address, %[2]s a body that asks for an admin's token.
var foreignShapes = map[string]string{
	"plain":                 "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"localhost":             "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\n\r\n%[2]s",
	"whole URL":             "POST http://%[1]s/api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"HTTP/1.0":              "POST /api/v1/tokens HTTP/1.0\r\n\r\n%[2]s",
	"HTTP/1.0 with a host":  "POST /api/v1/tokens HTTP/1.0\r\nHost: localhost\r\n\r\n%[2]s",
	"after a public route":  "GET /healthz HTTP/1.1\r\nHost: %[1]s\r\n\r\nPOST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"PROXY protocol":        "PROXY TCP4 127.0.0.1 127.0.0.1 1 7846\r\nPOST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"from here":             "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n\r\n%[2]s",
	"from here, twice":      "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: ::1\r\n\r\n%[2]s",
	"from here, underlined": "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nx_forwarded_for: 127.0.0.1\r\n\r\n%[2]s",
	"hidden header":         "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nConnection: X-Forwarded-For, Authorization\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n%[2]s",
	"empty token":           "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nAuthorization: Bearer \r\n\r\n%[2]s",
	"empty password":        "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nAuthorization: Basic Og==\r\n\r\n%[2]s",
	"empty cookie":          "POST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nCookie: stint=; stint_session=; __Host-stint=\r\nX-Stint-CSRF: 1\r\n\r\n%[2]s",
	"two slashes":           "POST //api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"up and down":           "POST /healthz/../api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"encoded":               "POST /%%61pi/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"another method":        "GET /api/v1/me HTTP/1.1\r\nHost: %[1]s\r\nX-HTTP-Method-Override: POST\r\nX-Original-URL: /api/v1/tokens\r\n\r\n",
	"upgrade":               "GET /api/v1/stream HTTP/1.1\r\nHost: %[1]s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
	"HTTP/2 in the clear":   "GET /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
	"HTTP/2, known before":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"tunnel":                "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\nPOST /api/v1/tokens HTTP/1.1\r\nHost: %[1]s\r\n\r\n%[2]s",
	"live stream":           "GET /api/v1/stream HTTP/1.1\r\nHost: %[1]s\r\nAccept: text/event-stream\r\n\r\n",
}

var bodiless = regexp.MustCompile(`(POST [^\r]*\r\n)`)

// No shape of a request makes a process of another user the server's own, over IPv4 and IPv6,
// also after other users have used the server.
func TestOtherUsersGetInByNoShape(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		t.Run(loopback, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
			if err != nil {
				t.Fatal(err)
			}
			addr := l.Addr().String()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			h := newHost(t)
			serveOn(t, h, addr)
			if _, err := fetch("http://"+addr+"/api/v1/tokens", "", os.DevNull); err != nil {
				t.Fatalf("root is asked for a token: %v", err)
			}
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			const body = `{"name":"evil","scope":"admin"}`
			var all sync.WaitGroup
			send := func(name, shape string) {
				shape = bodiless.ReplaceAllString(shape, fmt.Sprintf("${1}Content-Type: application/json\r\nContent-Length: %d\r\n", len(body)))
				request := strings.NewReplacer("%[1]s", addr, "%[2]s", body, "%%", "%").Replace(shape)
				cmd := h.command("bash", "-c", `exec 3<>/dev/tcp/$1/$2; trap '' PIPE; printf '%s' "$3" >&3; timeout 5 cat <&3; exit 0`, "bash", loopback, port, request)
				cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				answer, err := cmd.Output()
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if strings.Contains(string(answer), "stint_") || strings.Contains(string(answer), `"tokens"`) || strings.Contains(string(answer), "event:") ||
					strings.Contains(string(answer), `"scope":"admin"`) || len(answer) == 0 && name != "HTTP/2, known before" {
					t.Errorf("%s: %s", name, answer)
				}
			}
			for name, shape := range foreignShapes {
				all.Go(func() { send(name, shape) })
			}
			all.Wait()
			var made struct{ Tokens []struct{ Name string } }
			text, err := fetch("http://"+addr+"/api/v1/tokens", "", os.DevNull)
			if err == nil {
				err = json.Unmarshal([]byte(text), &made)
			}
			if err != nil || len(made.Tokens) != 0 {
				t.Errorf("tokens: %s, %v", text, err)
			}
		})
	}
}

// serveOn runs a server at an address until the test ends.
func serveOn(t *testing.T, h *host, addr string, more ...string) *exec.Cmd {
	t.Helper()
	cmd := h.command(stint, append([]string{"server", "--listen", addr, "--data", filepath.Join(h.state, "data")}, more...)...)
	printed := &watched{}
	cmd.Stderr = printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // Wait says whether it ended
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the server: %v\n%s", err, printed)
		}
	})
	eventually(t, "the server serves", func() bool { return strings.Contains(printed.String(), "msg=serving") })
	return cmd
}

// A server that listens on all addresses asks everybody, also root on its own machine, by
// whichever of its addresses they come; and it does not take IPv6 that nobody asked for.
func TestAllAddressesNeedATokenEverywhere(t *testing.T) {
	there := newElsewhere(t, 3)
	_, port, _ := strings.Cut(freeAddress(t), ":")
	h := newHost(t)
	serveOn(t, h, "0.0.0.0:"+port)
	secret, err := os.ReadFile(filepath.Join(h.state, "data", "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "127.9.9.9", "localhost", there.here} {
		url := "http://" + net.JoinHostPort(host, port)
		for _, route := range guarded(t, url) {
			req, err := http.NewRequestWithContext(t.Context(), route[0], url+route[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s at %s: %s", route[0], route[1], host, resp.Status)
			}
		}
		if text, err := fetch(url+"/api/v1/tokens", strings.TrimSpace(string(secret)), os.DevNull); err != nil || !strings.Contains(text, `"first"`) {
			t.Errorf("with the first token at %s: %s, %v", host, text, err)
		}
	}
	if status, body := there.request("GET", "http://"+there.here+":"+port+"/api/v1/tokens"); status != "401" {
		t.Errorf("from elsewhere: %s %s", status, body)
	}
	if conn, err := net.Dial("tcp6", "[::1]:"+port); err == nil {
		conn.Close()
		t.Error("--listen 0.0.0.0 takes connections over IPv6")
	}
}
