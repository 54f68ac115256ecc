package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// elsewhere is another machine: a network namespace with one cable to ours.
type elsewhere struct {
	t    *testing.T
	name string
	here string // our address as it is seen from there
	addr string // its address
	near string // our end of the cable
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

// newElsewhere makes one; it goes with the test. Number is below 250, and one of each test.
func newElsewhere(t *testing.T, number int) *elsewhere {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a network namespace")
	}
	n := (os.Getpid()<<8 | number) & 0xffff
	e := &elsewhere{t: t, name: fmt.Sprintf("stint-e2e-%d-%d", os.Getpid(), number)}
	e.here = fmt.Sprintf("198.18.%d.%d", n>>6&0xff, n<<2&0xfc|1)
	e.addr = fmt.Sprintf("198.18.%d.%d", n>>6&0xff, n<<2&0xfc|2)
	far := fmt.Sprintf("sf%d", n)
	e.near = fmt.Sprintf("se%d", n)
	if err := ip("netns", "add", e.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ip("netns", "del", e.name); err != nil { // the cable goes with it
			t.Error(err)
		}
	})
	for _, args := range [][]string{
		{"link", "add", e.near, "type", "veth", "peer", "name", far, "netns", e.name},
		{"addr", "add", e.here + "/30", "dev", e.near},
		{"link", "set", e.near, "up"},
		{"-n", e.name, "addr", "add", e.addr + "/30", "dev", far},
		{"-n", e.name, "link", "set", far, "up"},
	} {
		if err := ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// request sends a request from there and returns the status and the body.
func (e *elsewhere) request(method, url string, headers ...string) (status, body string) {
	e.t.Helper()
	reply := e.requests([][2]string{{method, url}}, headers...)[0]
	return reply[0], reply[1]
}

// requests sends requests, each a method and an address, from there in one process, and returns the
// status and the body of each.
func (e *elsewhere) requests(all [][2]string, headers ...string) (replies [][2]string) {
	e.t.Helper()
	const end = "\n-- end of a reply --\n"
	var config strings.Builder
	for i, r := range all {
		if i > 0 {
			config.WriteString("next\n")
		}
		fmt.Fprintf(&config, "silent\nshow-error\nmax-time = 60\nrequest = %q\nurl = %q\nwrite-out = %q\n", r[0], r[1], "\n%{http_code}"+end)
		for _, h := range headers {
			fmt.Fprintf(&config, "header = %q\n", h)
		}
	}
	cmd := exec.Command("ip", "netns", "exec", e.name, "curl", "--fail-early", "--config", "-")
	cmd.Stdin = strings.NewReader(config.String())
	out, err := cmd.Output()
	text, whole := strings.CutSuffix(string(out), end)
	parts := strings.Split(text, end)
	if err != nil || !whole || len(parts) != len(all) {
		e.t.Fatalf("%d requests from elsewhere: %d replies, %v", len(all), len(parts), err)
	}
	for _, part := range parts {
		i := strings.LastIndexByte(part, '\n')
		replies = append(replies, [2]string{part[i+1:], part[:i]})
	}
	return replies
}

// proxy starts a reverse proxy with what it needs to run: its user is not the server's.
func proxy(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("not here, and CI=true: %s (scripts/setup installs it)", program)
		}
		t.Skipf("not here: %s (scripts/setup installs it)", program)
	}
	cmd := exec.Command(path, args...)
	printed := &watched{}
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // its code is that of a proxy that was stopped
		if t.Failed() {
			t.Logf("%s:\n%s", program, printed)
		}
	})
}

// guarded lists the routes that are not public, from the server's own description.
func guarded(t *testing.T, url string) (routes [][2]string) {
	t.Helper()
	text, err := fetch(url+"/api/openapi.json", "", os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Paths map[string]map[string]struct {
			Scope string `json:"x-scope"`
		}
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("{run}", "00000000-0000-7000-8000-000000000000", "{attempt}", "1", "{job}", "j", "{id}", "x", "{name}", "x")
	for path, methods := range spec.Paths {
		for method, op := range methods {
			if op.Scope != "" {
				routes = append(routes, [2]string{strings.ToUpper(method), names.Replace(path)})
			}
		}
	}
	if len(routes) < 30 {
		t.Fatalf("only %d routes are guarded", len(routes))
	}
	return routes
}

// A default server behind a reverse proxy with its default configuration asks for a token
// on every route, of clients on other machines; of its own user on this one it asks
// nothing.
func TestBehindAProxy(t *testing.T) {
	s := startServer(t)
	upstream := strings.TrimPrefix(s.url, "http://")
	there := newElsewhere(t, 1)
	dir := t.TempDir()
	port := func() string { _, p, _ := strings.Cut(freeAddress(t), ":"); return p }
	nginx, passing, reusing, caddy := port(), port(), port(), port()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
  access_log off;
  server { listen %[2]s; location / { proxy_pass http://%[4]s; } }
  server { listen %[3]s; location / { proxy_pass http://%[4]s; proxy_set_header Host $host; } }
  upstream kept { server %[4]s; keepalive 4; }
  server { listen %[5]s; location / { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost; } }
}
`, dir, there.here+":"+nginx, there.here+":"+passing, upstream, there.here+":"+reusing)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	caddyfile := filepath.Join(dir, "Caddyfile")
	text = fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://:%s {\n\tbind %s\n\treverse_proxy %s\n}\n", caddy, there.here, upstream)
	if err := os.WriteFile(caddyfile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	routes := guarded(t, s.url)
	made := s.token("admin")
	for _, tt := range []struct {
		name, port string
		start      func(t *testing.T)
	}{
		{"nginx", nginx, func(t *testing.T) { proxy(t, "/usr/sbin/nginx", "-c", conf) }},
		{"nginx that passes the name", passing, func(t *testing.T) { proxy(t, "/usr/sbin/nginx", "-c", conf) }},
		{"nginx that keeps connections and names this machine", reusing, func(t *testing.T) { proxy(t, "/usr/sbin/nginx", "-c", conf) }},
		{"Caddy", caddy, func(t *testing.T) { proxy(t, "caddy", "run", "--config", caddyfile, "--adapter", "caddyfile") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.start(t)
			url := "http://" + there.here + ":" + tt.port
			eventually(t, "the proxy answers", func() bool {
				resp, err := http.Get(url + "/healthz")
				if err == nil {
					resp.Body.Close()
				}
				return err == nil && resp.StatusCode == http.StatusOK
			})
			var all [][2]string
			for _, rt := range routes {
				all = append(all, [2]string{rt[0], url + rt[1]})
			}
			for i, reply := range there.requests(all) {
				if reply[0] != "401" || !strings.Contains(reply[1], "urn:stint:") {
					t.Errorf("%s %s: %s", routes[i][0], routes[i][1], reply)
				}
			}
			if status, body := there.request("GET", url+"/api/v1/me"); status != "200" || !strings.Contains(body, `"scope":""`) {
				t.Errorf("the page does not ask for a login: %s %s", status, body)
			}
			if status, body := there.request("GET", url+"/api/v1/tokens", "Authorization: Bearer "+made); status != "200" {
				t.Errorf("with a token: %s %s", status, body)
			}
		})
	}
	if body, err := fetch(s.url+"/api/v1/tokens", "", os.DevNull); err != nil || !strings.Contains(body, `"tokens"`) {
		t.Errorf("on the server's machine a token is asked for: %s, %v", body, err)
	}
}

// Another user of the server's machine needs a token, gets a message that says so, and their job runs all
// the same; its journal waits and is delivered once there is a token.
func TestAnotherLocalUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	s := startServer(t)
	h := newHost(t)
	h.state = filepath.Join(shared(t), "state")
	as := func(env []string, args ...string) result {
		cmd := h.command("setpriv", append([]string{"--reuid", "65534", "--regid", "65534", "--clear-groups", stint}, args...)...)
		cmd.Env = append(append(cmd.Env, "STINT_SERVER="+s.url, "HOME="+h.state), env...)
		cmd.Dir = "/"
		return finish(t, cmd)
	}
	const sentence = "the connection belongs to user nobody, the server runs as root: set STINT_TOKEN " +
		"(an admin makes one with: stint token create --scope %s --name nobody)"
	r := as(nil, "run", "--job", "other", "--flush-timeout", "2s", "--", "sh", "-c", "echo done; exit 3")
	if r.code != 3 || !strings.Contains(r.stdout, "done") || !strings.Contains(r.stderr, fmt.Sprintf(sentence, "agent")) {
		t.Errorf("the job of another user: %+v", r)
	}
	if r := as(nil, "runs"); r.code == 0 || !strings.Contains(r.stderr, fmt.Sprintf(sentence, "read")) {
		t.Errorf("stint runs of another user: %+v", r)
	}
	if r := h.run("runs", "--server", s.url, "--json"); r.code != 0 || strings.Contains(r.stdout, `"other"`) {
		t.Errorf("a refused run reached the server: %+v", r)
	}
	if r := as([]string{"STINT_TOKEN=" + s.token("agent")}, "flush"); r.code != 0 {
		t.Errorf("flush with a token: %+v", r)
	}
	if r := h.run("logs", "--server", s.url, "other#1"); r.code != 0 || r.stdout != "done\n" {
		t.Errorf("the log after the flush: %+v", r)
	}
}

// shared is a directory that every user may write to, also on the way to it.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stint-e2e-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}
