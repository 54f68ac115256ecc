package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// proxiesOf starts nginx or Caddy in front of a server, on the address that another machine sees. It returns their addresses: of
// nginx one that replaces X-Forwarded-For, as docs/proxies.md has it, and one that adds to it.
func proxiesOf(t *testing.T, s *server, there *elsewhere, program string) (urls []string) {
	t.Helper()
	dir, upstream := t.TempDir(), strings.TrimPrefix(s.url, "http://")
	port := func() string { _, p, _ := strings.Cut(freeAddress(t), ":"); return p }
	conf, args, ports := filepath.Join(dir, "nginx.conf"), []string{"-c"}, []string{port(), port()}
	text := fmt.Sprintf("daemon off; pid %s/nginx.pid; error_log stderr;\nevents {}\nhttp {\naccess_log off;\n", dir)
	for i, value := range []string{"$remote_addr", "$proxy_add_x_forwarded_for"} {
		text += fmt.Sprintf("server { listen %s:%s; location / { proxy_pass http://%s; proxy_set_header X-Forwarded-For %s; } }\n",
			there.here, ports[i], upstream, value)
	}
	text += "}\n"
	if program == "caddy" {
		conf, args, ports = filepath.Join(dir, "Caddyfile"), []string{"run", "--adapter", "caddyfile", "--config"}, ports[:1]
		text = fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://:%s {\n\tbind %s\n\treverse_proxy %s\n}\n", ports[0], there.here, upstream)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy(t, program, append(args, conf)...)
	for _, p := range ports {
		url := "http://" + there.here + ":" + p
		eventually(t, program+" answers", func() bool {
			resp, err := http.Get(url + "/healthz")
			if err == nil {
				resp.Body.Close()
			}
			return err == nil && resp.StatusCode == http.StatusOK
		})
		urls = append(urls, url)
	}
	return urls
}

// refusedAddresses returns the addresses of the entries of the audit log about wrong tokens.
func (s *server) refusedAddresses() (out []string) {
	s.t.Helper()
	text, err := fetch(s.url+"/api/v1/audit", "", os.DevNull)
	if err != nil {
		s.t.Fatal(err)
	}
	var page struct {
		Entries []struct{ Action, Address string }
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range page.Entries {
		if strings.HasPrefix(e.Action, "refused") {
			out = append(out, e.Address)
		}
	}
	return out
}

// Through nginx and through Caddy a server that trusts them counts and shows a client on another machine by its own address, also
// if the client invents one. Without --trusted-proxy it is the address of the proxy.
func TestClientsBehindATrustedProxy(t *testing.T) {
	there := newElsewhere(t, 5)
	for _, program := range []string{"/usr/sbin/nginx", "caddy"} {
		for _, tt := range []struct {
			name    string
			options []string
			want    string
		}{
			{"not trusted", []string{"--trusted-proxy", "10.0.0.0/8"}, "127.0.0.1"},
			{"trusted", []string{"--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"}, there.addr},
		} {
			t.Run(filepath.Base(program)+" "+tt.name, func(t *testing.T) {
				s := startServer(t, tt.options...)
				for _, url := range proxiesOf(t, s, there, program) {
					for range 12 {
						there.request("GET", url+"/api/v1/jobs", "Authorization: Bearer stint_wrong", "X-Forwarded-For: 203.0.113.9, 127.0.0.1")
					}
					if got := s.refusedAddresses(); len(got) == 0 || got[len(got)-1] != tt.want || slices.Contains(got, "203.0.113.9") {
						t.Errorf("the audit log has %s, want %s", got, tt.want)
					}
					req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/v1/jobs", nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Authorization", "Bearer stint_wrong")
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if limited := resp.StatusCode == http.StatusTooManyRequests; limited != (tt.want != there.addr) {
						t.Errorf("the first wrong token of another client: %s", resp.Status)
					}
				}
			})
		}
	}
}

// A --trusted-proxy that is no network, or every one, is refused at the start.
func TestTrustedProxyIsChecked(t *testing.T) {
	for value, want := range map[string]string{
		"localhost": "is not an address or a network", "10.1.2.3/8": "write 10.0.0.0/8", "0.0.0.0/0": "has all addresses",
	} {
		for _, env := range []bool{false, true} {
			h := newHost(t)
			args := []string{"server", "--listen", "127.0.0.1:0", "--data", t.TempDir()}
			if !env {
				args = append(args, "--trusted-proxy", value)
			}
			cmd := h.command(stint, args...)
			if env {
				cmd.Env = append(cmd.Env, "STINT_TRUSTED_PROXY=127.0.0.1\n"+value)
			}
			if r := finish(t, cmd); r.code != 2 || !strings.Contains(r.stderr, want) || !strings.Contains(strings.ToLower(r.stderr), "trusted") {
				t.Errorf("%s (environment: %t): %+v", value, env, r)
			}
		}
	}
}
