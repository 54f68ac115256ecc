package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// printedNumbers is what seq prints.
func printedNumbers(from, to int) []byte {
	var out []byte
	for n := from; n <= to; n++ {
		out = append(strconv.AppendInt(out, int64(n), 10), '\n')
	}
	return out
}

// behindProxy starts a reverse proxy with its default configuration in front of a server, and
// returns its address. Clients that use it need a token.
func behindProxy(t *testing.T, s *server, program string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start nginx with its own directories")
	}
	dir, address, upstream := t.TempDir(), freeAddress(t), strings.TrimPrefix(s.url, "http://")
	_, port, _ := strings.Cut(address, ":")
	conf, args, text := filepath.Join(dir, "nginx.conf"), []string{"-c"}, fmt.Sprintf(
		"daemon off; pid %s/nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off; server { listen %s; location / { proxy_pass http://%s; } } }\n",
		dir, address, upstream)
	if program == "caddy" {
		conf, args = filepath.Join(dir, "Caddyfile"), []string{"run", "--adapter", "caddyfile", "--config"}
		text = fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://:%s {\n\tbind 127.0.0.1\n\treverse_proxy %s\n}\n", port, upstream)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy(t, program, append(args, conf)...)
	through := "http://" + address
	eventually(t, program+" answers", func() bool {
		resp, err := http.Get(through + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return through
}

// logThrough downloads the log of a run through a proxy; nil while the run is not known.
func logThrough(t *testing.T, through, token, ref string) []byte {
	t.Helper()
	req, err := http.NewRequest("GET", through+"/api/v1/runs/"+url.PathEscape(ref)+"/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		t.Fatalf("the log of %s broke off after %d bytes: %v", ref, len(body), err)
	case resp.StatusCode == http.StatusNotFound:
		return nil
	case resp.StatusCode != http.StatusOK:
		t.Fatalf("the log of %s: HTTP %d: %.500s", ref, resp.StatusCode, body)
	}
	return body
}

// sameBytes reports a difference without printing megabytes.
func sameBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	if at < len(got) || at < len(want) {
		t.Errorf("%s: %d bytes instead of %d; from byte %d on they are others: %.40q", what, len(got), len(want), at, got[at:])
	}
}

// A log of 20 MB that is written, followed and downloaded through a reverse proxy with its default
// configuration, all at the same time, arrives complete.
func TestLogThroughAProxyWhileItIsWritten(t *testing.T) {
	const half, whole = 1_400_000, 2_800_000
	want := printedNumbers(0, whole)
	for _, program := range []string{"/usr/sbin/nginx", "caddy"} {
		t.Run(filepath.Base(program), func(t *testing.T) {
			s := startServer(t)
			h, on := newHost(t), filepath.Join(t.TempDir(), "on")
			through := behindProxy(t, s, program)
			read := s.token("read")
			script := fmt.Sprintf("seq 0 %d; while [ ! -e %s ]; do sleep 0.1; done; seq %d %d", half, on, half+1, whole)
			agent := h.command(stint, "run", "--server", through, "--job", "big", "--flush-timeout", "2m", "-c", script)
			agent.Env = append(agent.Env, "STINT_TOKEN="+s.token("agent"))
			var printed, followed, messages bytes.Buffer
			agent.Stdout = &printed
			if err := agent.Start(); err != nil {
				t.Fatal(err)
			}
			var first []byte
			eventually(t, "a part of the log can be downloaded", func() bool {
				first = logThrough(t, through, read, "big#1")
				return len(first) > 0
			})
			follow := h.command(stint, "logs", "--server", through, "-f", "big#1")
			follow.Env = append(follow.Env, "STINT_TOKEN="+read)
			follow.Stdout, follow.Stderr = &followed, &messages
			if err := follow.Start(); err != nil {
				t.Fatal(err)
			}
			if len(first) >= len(want) || !bytes.HasPrefix(want, first) {
				t.Errorf("while the job prints, the log has %d bytes, which are no part of it", len(first))
			}
			if err := os.WriteFile(on, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			last := len(first)
			eventuallyLong(t, "the run has ended", func() bool {
				r, known := s.find("big#1") // before the log is read
				got := logThrough(t, through, read, "big#1")
				if len(got) < last || !bytes.HasPrefix(want, got) {
					t.Fatalf("a download of %d bytes after one of %d, or another log", len(got), last)
				}
				last = len(got)
				return known && r.State.Terminal()
			})
			if err := agent.Wait(); err != nil {
				t.Errorf("stint run: %v", err)
			}
			if err := follow.Wait(); err != nil {
				t.Errorf("stint logs: %v: %s", err, &messages)
			}
			sameBytes(t, "the log", logThrough(t, through, read, "big#1"), want)
			sameBytes(t, "what was followed", followed.Bytes(), want)
			sameBytes(t, "what the job printed", printed.Bytes(), want)
			if r, _ := s.find("big#1"); !r.Output.Complete || len(r.Output.Gaps) > 0 {
				t.Errorf("the output: %+v", r.Output)
			}
		})
	}
}

// A backlog of 20 MB goes through nginx with its default configuration, which takes 1 MiB at once.
func TestBacklogThroughNginx(t *testing.T) {
	const whole = 2_800_000
	s, h := startServer(t), newHost(t)
	through := behindProxy(t, s, "/usr/sbin/nginx")
	// The server is away for the job: a token that is not known here leaves the journal in the spool.
	run := h.command(stint, "run", "--server", through, "--job", "backlog", "--quiet", "--flush-timeout", "1ms", "--", "seq", "0", strconv.Itoa(whole))
	run.Env = append(run.Env, "STINT_TOKEN=stint_"+strings.Repeat("x", 43))
	if r := finish(t, run); r.code != 0 {
		t.Fatalf("stint run: %+v", r)
	}
	if _, known := s.find("backlog#1"); known {
		t.Fatal("the journal has arrived before the flush")
	}
	flush := h.command(stint, "flush", "--server", through)
	flush.Env = append(flush.Env, "STINT_TOKEN="+s.token("agent"))
	if r := finish(t, flush); r.code != 0 {
		t.Fatalf("stint flush: %+v", r)
	}
	sameBytes(t, "the log", s.log("backlog#1", ""), printedNumbers(0, whole))
	if r, _ := s.find("backlog#1"); !r.Output.Complete || len(r.Output.Gaps) > 0 {
		t.Errorf("the output: %+v", r.Output)
	}
	if left := h.spooled(t, "backlog"); left {
		t.Error("the journal is still in the spool")
	}
}
