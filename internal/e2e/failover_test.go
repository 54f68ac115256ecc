package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// movers is how many agents the tests of two servers have, and blows how often a server is killed or stopped under them.
var (
	movers = flag.Int("failover-agents", 20, "real agents in the tests of two servers")
	blows  = flag.Int("failover-blows", 3, "how often the server that they use is killed or stopped")
)

// pair is two servers on one database, at addresses of their own.
type pair struct {
	t      *testing.T
	host   *host
	urls   [2]string
	args   []string
	stderr [2]*written
	cmds   [2]*exec.Cmd
	http   *http.Client
}

// startPair starts two servers, with TLS if cert is not empty.
func startPair(t *testing.T, cert, key string) *pair {
	t.Helper()
	p := &pair{t: t, host: newHost(t), http: &http.Client{Timeout: 10 * time.Second}}
	scheme := "http://"
	p.args = []string{"--database", postgrestest.URL(t)}
	if cert != "" {
		scheme = "https://"
		p.args = append(p.args, "--tls-cert", cert, "--tls-key", key)
		pem, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		p.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	}
	for i := range p.urls {
		p.urls[i] = scheme + freeAddress(t)
		p.start(i)
	}
	t.Cleanup(func() {
		p.http.CloseIdleConnections()
		for i := range p.cmds {
			p.signal(i, syscall.SIGCONT)
			p.signal(i, syscall.SIGTERM)
			if err := p.cmds[i].Wait(); err != nil || strings.Contains(p.stderr[i].String(), "goroutine ") {
				t.Errorf("server %d ended with %v: %s", i, err, p.stderr[i])
			}
		}
	})
	return p
}

func (p *pair) start(i int) {
	p.t.Helper()
	_, address, _ := strings.Cut(p.urls[i], "://")
	p.stderr[i] = &written{}
	p.cmds[i] = exec.Command(stint, append([]string{"server", "--listen", address}, p.args...)...)
	p.cmds[i].Env, p.cmds[i].Stderr = p.host.environment(), p.stderr[i]
	if err := p.cmds[i].Start(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "a server is ready", func() bool { return p.read(i, "/readyz", nil) == nil })
}

func (p *pair) signal(i int, sig syscall.Signal) {
	if err := p.cmds[i].Process.Signal(sig); err != nil {
		p.t.Error(err)
	}
}

// read reads a path of one server.
func (p *pair) read(i int, path string, out any) error {
	resp, err := p.http.Get(p.urls[i] + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %d: %s", path, resp.StatusCode, body)
	case out == nil:
		return nil
	}
	if text, raw := out.(*[]byte); raw {
		*text = body
		return nil
	}
	return json.Unmarshal(body, out)
}

// must is read of what has to be there.
func (p *pair) must(i int, path string, out any) {
	p.t.Helper()
	if err := p.read(i, path, out); err != nil {
		p.t.Fatal(err)
	}
}

// runs are those of the job, as one server shows them.
func (p *pair) runs(i int) []job.Run {
	p.t.Helper()
	var page client.RunsPage
	p.must(i, "/api/v1/runs?job=moves&limit=500", &page)
	return page.Runs
}

// mover is an agent of a job that prints until it may end.
type mover struct {
	cmd         *exec.Cmd
	out, stderr string // files
}

// startMovers starts agents that know both addresses.
func (p *pair) startMovers(n int, more ...string) (all []*mover, end string) {
	p.t.Helper()
	h := newHost(p.t)
	dir := p.t.TempDir()
	end = filepath.Join(dir, "end")
	script := `n=0; until [ -e "` + end + `" ]; do for i in 1 2 3 4 5 6 7 8 9 10; do n=$((n+1)); echo "$STINT_RUN_ID line $n of what has to arrive whole"; done; sleep 1; done`
	for i := range n {
		m := &mover{out: filepath.Join(dir, fmt.Sprint("out", i)), stderr: filepath.Join(dir, fmt.Sprint("err", i))}
		args := append([]string{"run", "--server", p.urls[0], "--server", p.urls[1], "--job", "moves", "--flush-timeout", "60s"}, more...)
		m.cmd = exec.Command(stintAgent, append(args, "--", "sh", "-c", script)...)
		m.cmd.Env = h.environment()
		stdout, err := os.Create(m.out)
		if err != nil {
			p.t.Fatal(err)
		}
		defer stdout.Close()
		stderr, err := os.Create(m.stderr)
		if err != nil {
			p.t.Fatal(err)
		}
		defer stderr.Close()
		m.cmd.Stdout, m.cmd.Stderr = stdout, stderr
		if err := m.cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() {
			if m.cmd.ProcessState == nil {
				_ = m.cmd.Process.Kill() // Wait returns the error
				_ = m.cmd.Wait()
			}
		})
		all = append(all, m)
	}
	return all, end
}

// beatSince waits until each run has had a heartbeat since a time, as one server shows it, and returns how long that took.
func (p *pair) beatSince(i, n int, since time.Time) time.Duration {
	p.t.Helper()
	eventuallyLong(p.t, "all agents beat", func() bool {
		var page client.RunsPage
		if p.read(i, "/api/v1/runs?job=moves&limit=500", &page) != nil {
			return false
		}
		fresh := 0
		for _, r := range page.Runs {
			if r.LastHeartbeatAt != nil && r.LastHeartbeatAt.After(since) {
				fresh++
			}
		}
		return fresh == n
	})
	return time.Since(since)
}

// Agents with two addresses of one installation go on to the other server when the one that they use is killed, or stopped for a
// time: none is called lost, and every log is on the server byte for byte. Of the agents of a killed server none is even quiet.
func TestAgentsGoOnToAnotherServer(t *testing.T) {
	cert, key := certificate(t, t.TempDir(), "localhost")
	for _, c := range []struct {
		name      string
		cert, key string
		more      []string
		stops     bool // every other blow is SIGSTOP
	}{
		{name: "killed in turn"},
		{name: "killed and stopped in turn, with TLS", cert: cert, key: key, more: []string{"--tls-ca", cert}, stops: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPair(t, c.cert, c.key)
			if c.cert != "" {
				token := p.token(t)
				c.more = append(c.more, "--token", token)
			}
			all, end := p.startMovers(*movers, c.more...)
			begun := time.Now()
			p.beatSince(0, len(all), begun)
			used, kills, stops := 0, 0, 0
			var slowest time.Duration
			for blow := range *blows {
				other := 1 - used
				hit := time.Now()
				if c.stops && blow%2 == 1 {
					stops++
					p.signal(used, syscall.SIGSTOP)
				} else {
					kills++
					p.signal(used, syscall.SIGKILL)
					_ = p.cmds[used].Wait() // it was killed, which is an error here
				}
				slowest = max(slowest, p.beatSince(other, len(all), hit))
				if c.stops && blow%2 == 1 {
					p.signal(used, syscall.SIGCONT)
				} else {
					p.start(used)
				}
				p.beatSince(other, len(all), time.Now().Add(6*time.Second)) // whatever the old one does now
				used = other
			}
			if err := os.WriteFile(end, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if err := m.cmd.Wait(); err != nil {
					text, _ := os.ReadFile(m.stderr)
					t.Errorf("an agent ended with %v: %s", err, text)
				}
			}
			p.verify(used, all, fmt.Sprintf("%d kills, %d stops; all agents beat at the other server %s after it at the latest", kills, stops, slowest.Round(100*time.Millisecond)), stops == 0)
		})
	}
}

// token makes a token of an agent, with that of the first start.
func (p *pair) token(t *testing.T) string {
	t.Helper()
	r := finish(t, func() *exec.Cmd {
		cmd := exec.Command(stint, append([]string{"token", "create", "--name", "agents", "--scope", "agent", "--json"}, p.args[:2]...)...)
		cmd.Env = p.host.environment()
		return cmd
	}())
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(r.stdout), &made); err != nil || made.Token == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	return made.Token
}

// verify compares what the server has with what the jobs printed, and reports it in one line.
func (p *pair) verify(i int, all []*mover, what string, noneQuiet bool) {
	p.t.Helper()
	runs := p.runs(i)
	if len(runs) != len(all) {
		p.t.Fatalf("%d runs of %d agents", len(runs), len(all))
	}
	logs := map[string][]byte{} // by the run whose id begins its lines
	for _, m := range all {
		text, err := os.ReadFile(m.out)
		if err != nil {
			p.t.Fatal(err)
		}
		id, _, _ := bytes.Cut(text, []byte(" "))
		logs[string(id)] = text
		if printed, _ := os.ReadFile(m.stderr); len(printed) > 0 {
			p.t.Errorf("an agent printed %s", printed)
		}
	}
	lost, quiet, same, size := 0, 0, 0, 0
	for _, r := range runs {
		var page struct{ Events []job.RunEvent }
		p.must(i, "/api/v1/runs/"+r.ID+"/events?limit=500", &page)
		var wasLost, wasQuiet bool
		for _, e := range page.Events {
			wasLost = wasLost || e.To == string(job.Lost)
			wasQuiet = wasQuiet || e.Kind == "health" && e.Rule == "quiet"
			if e.To == string(job.Lost) {
				p.t.Errorf("run %s was called lost at %s: %s", r.ID, e.At, e.Evidence)
			}
		}
		if wasLost {
			lost++
		}
		if wasQuiet {
			quiet++
		}
		var log []byte
		p.must(i, "/api/v1/runs/"+r.ID+"/log", &log)
		if bytes.Equal(log, logs[r.ID]) && len(log) > 0 && r.Output.Complete && r.State == job.Succeeded {
			same++
		} else {
			p.t.Errorf("run %s is %s, complete: %v; %d bytes of %d", r.ID, r.State, r.Output.Complete, len(log), len(logs[r.ID]))
		}
		size += len(log)
	}
	p.t.Logf("%d agents: %s; %d lost, %d quiet; %d logs compared byte for byte, %d bytes", len(all), what, lost, quiet, same, size)
	if lost > 0 || noneQuiet && quiet > 0 {
		p.t.Errorf("%d runs were lost, and %d quiet", lost, quiet)
	}
}
