package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// policy sets the policy of a job.
func (s *server) policy(name, text string) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPut, s.url+"/api/v1/jobs/"+name+"/policy", strings.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("set a policy: HTTP %d, %s, %v", resp.StatusCode, answer, err)
	}
}

// begin starts stint run with short periods, and ends it with the test.
func begin(t *testing.T, server, name string, args ...string) *exec.Cmd {
	t.Helper()
	// Without a bound of its own: a run may be watched for minutes, and ends with the test.
	cmd := exec.Command(stint, append([]string{"run", "--server", server, "--job", name, "--heartbeat-period", "1s", "--sample-period", "500ms", "--quiet"}, args...)...)
	cmd.Env = newHost(t).environment()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // Wait returns the error
			_ = cmd.Wait()
		}
	})
	return cmd
}

// holds waits for a finding of a run and returns it.
func (s *server) holds(t *testing.T, ref, rule string) (found job.Finding) {
	t.Helper()
	eventually(t, rule+" holds for "+ref, func() bool {
		r, ok := s.find(ref)
		i := slices.IndexFunc(r.Findings, func(f job.Finding) bool { return f.Rule == rule })
		if ok && i >= 0 {
			found = r.Findings[i]
		}
		return ok && i >= 0
	})
	if found.Evidence == "" || found.Since.IsZero() || found.Health == "" || rule != "quiet" && len(found.Facts) == 0 {
		t.Errorf("finding %+v", found)
	}
	return found
}

// passes waits until a finding has passed.
func (s *server) passes(t *testing.T, ref, rule string) {
	t.Helper()
	eventually(t, rule+" has passed for "+ref, func() bool {
		r, ok := s.find(ref)
		return ok && !slices.ContainsFunc(r.Findings, func(f job.Finding) bool { return f.Rule == rule })
	})
}

// between stands between agents and the server, and may refuse journals or change the time
// that heartbeats report.
func between(t *testing.T, to string, deliver func() bool, skew time.Duration) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) }, // nothing that says "forwarded", for which a token is needed
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	gate := http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/journal") && !deliver() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/heartbeat") && skew != 0 {
			var hb job.Heartbeat
			body, err := io.ReadAll(r.Body)
			if err == nil && json.Unmarshal(body, &hb) == nil {
				hb.SentAt = hb.SentAt.Add(skew)
				body, _ = json.Marshal(hb) // it was read from JSON
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		proxy.ServeHTTP(w, r)
	})}
	gate.Addr = freeAddress(t)
	over := make(chan error, 1)
	go func() { over <- gate.ListenAndServe() }()
	t.Cleanup(func() {
		_ = gate.Close() // the error of the listener says the same
		<-over
	})
	return "http://" + gate.Addr
}

// Every rule, with real processes and figures small enough for a test.
func TestHealthRules(t *testing.T) {
	s := startServer(t)
	always := func() bool { return true }
	t.Run("rules", func(t *testing.T) {
		t.Run("stalled, then canceled", func(t *testing.T) {
			t.Parallel()
			s.policy("stall", "rules: {stalled: {after: 2s}}\nactions: {stalled: {cancel_after: 3s}}")
			begin(t, s.url, "stall", "--", "sh", "-c", "echo waiting for a lock; sleep 300")
			f := s.holds(t, "stall#1", "stalled")
			if f.Next != "the run is canceled" || f.NextAt == nil {
				t.Errorf("finding %+v", f)
			}
			r := s.ended("stall#1")
			// The diagnosis is made with the server's next look, a moment after the end.
			eventually(t, "the end is diagnosed", func() bool { r, _ = s.find("stall#1"); return r.Diagnosis != nil })
			if r.State != job.Canceled || r.Cancel == nil || r.Cancel.By != "the policy of the job" || r.Diagnosis == nil || !strings.Contains(r.Diagnosis.Sentence, "waiting for a lock") {
				t.Errorf("ended as %s, %+v, %+v", r.State, r.Cancel, r.Diagnosis)
			}
		})
		t.Run("no output", func(t *testing.T) {
			t.Parallel()
			s.policy("mute", "rules: {no_output: {after: 2s}}")
			gate := filepath.Join(t.TempDir(), "gate")
			begin(t, s.url, "mute", "--", "sh", "-c", "until [ -e "+gate+" ]; do sleep 0.2; done; while sleep 0.2; do echo now; done")
			s.holds(t, "mute#1", "no_output")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.passes(t, "mute#1", "no_output")
		})
		t.Run("overdue", func(t *testing.T) {
			t.Parallel()
			begin(t, s.url, "late", "--expect", "2s", "--", "sleep", "300")
			if f := s.holds(t, "late#1", "overdue"); !strings.Contains(f.Evidence, "expected to take no more than 2 s") {
				t.Errorf("finding %+v", f)
			}
		})
		t.Run("memory", func(t *testing.T) {
			t.Parallel()
			s.policy("big", "rules: {memory: {percent: 10, critical: 99}}")
			begin(t, s.url, "big", "--memory-limit", "400M", "--", "sh", "-c", `x=$(head -c 60000000 /dev/zero | tr '\0' a); sleep 300`)
			if f := s.holds(t, "big#1", "memory"); !strings.Contains(f.Evidence, "of its limit of 400 MiB") {
				t.Errorf("finding %+v", f)
			}
		})
		t.Run("spool", func(t *testing.T) {
			t.Parallel()
			s.policy("full", "rules: {spool: {after: 1s, bytes: 1M}}")
			gate := filepath.Join(t.TempDir(), "gate")
			open := func() bool {
				r, known := s.find("full#1")
				_, err := os.Stat(gate)
				return err == nil || !known || len(r.Steps) == 0
			}
			begin(t, between(t, s.url, open, 0), "full", "--", "sh", "-c", "sleep 2; head -c 4000000 /dev/zero; sleep 300")
			s.holds(t, "full#1", "spool")
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.passes(t, "full#1", "spool")
		})
		t.Run("clock skew", func(t *testing.T) {
			t.Parallel()
			begin(t, between(t, s.url, always, -time.Hour), "behind", "--", "sleep", "300")
			if f := s.holds(t, "behind#1", "clock_skew"); !strings.Contains(f.Evidence, "60 min behind") {
				t.Errorf("finding %+v", f)
			}
		})
		t.Run("starved", func(t *testing.T) {
			t.Parallel()
			s.policy("hungry", "rules: {starved: {delay: 1s}, quiet: {on: false}}")
			cmd := begin(t, s.url, "hungry", "--", "sleep", "300")
			eventually(t, "the agent beats", func() bool { r, ok := s.find("hungry#1"); return ok && r.LastHeartbeatAt != nil })
			for range 4 { // as a host would that has no time for it
				beat := func() time.Time { r, _ := s.find("hungry#1"); return *r.LastHeartbeatAt }
				before := beat()
				signal(t, cmd, syscall.SIGSTOP)
				<-time.After(2500 * time.Millisecond)
				signal(t, cmd, syscall.SIGCONT)
				eventually(t, "the agent beats again", func() bool { return beat().After(before) })
			}
			s.holds(t, "hungry#1", "starved")
		})
		t.Run("killed at the usual pace", func(t *testing.T) {
			t.Parallel()
			cmd := newHost(t).command(stint, "run", "--server", s.url, "--job", "usual", "--quiet", "--", "sleep", "300")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var beats []time.Time
			eventually(t, "two heartbeats", func() bool {
				r, ok := s.find("usual#1")
				if ok && r.LastHeartbeatAt != nil && (len(beats) == 0 || r.LastHeartbeatAt.After(beats[len(beats)-1])) {
					beats = append(beats, *r.LastHeartbeatAt)
				}
				return len(beats) >= 2
			})
			begun := time.Now()
			signal(t, cmd, syscall.SIGKILL)
			_ = cmd.Wait() // it was killed, which is an error here
			// The watcher completes the run, often before the server has seen that it is quiet.
			r := s.ended("usual#1")
			if took := time.Since(begun); r.State != job.Lost || took > 5*time.Second {
				t.Errorf("%s after %s", r.State, took)
			}
		})
		t.Run("quiet, then lost", func(t *testing.T) {
			t.Parallel()
			cmd := begin(t, s.url, "gone", "--", "sleep", "300")
			eventually(t, "the agent beats", func() bool { r, ok := s.find("gone#1"); return ok && r.LastHeartbeatAt != nil })
			var first time.Time
			eventually(t, "a second heartbeat", func() bool {
				r, _ := s.find("gone#1")
				if first.IsZero() {
					first = *r.LastHeartbeatAt
				}
				return r.LastHeartbeatAt.After(first)
			})
			signal(t, cmd, syscall.SIGSTOP) // a killed agent's watcher ends the run before anybody sees that it is quiet
			s.holds(t, "gone#1", "quiet")
			signal(t, cmd, syscall.SIGKILL)
			r := s.ended("gone#1")
			eventually(t, "a diagnosis", func() bool { r, _ = s.find("gone#1"); return r.Diagnosis != nil })
			if r.State != job.Lost || !strings.Contains(r.Diagnosis.Sentence, "The agent was killed") {
				t.Errorf("%s: %+v", r.State, r.Diagnosis)
			}
		})
	})
}

func signal(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// What explain, job and policy test print.
func TestExplainOnTheCommandLine(t *testing.T) {
	s := startServer(t)
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got := h.run("run", "--server", s.url, "--job", "daily", "--", "sh", "-c", "echo good"); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	if got := h.run("run", "--server", s.url, "--job", "daily", "--label", "try=1", "--", "sh", "-c", "echo 'ValueError: no' >&2; exit 4"); got.code != 4 {
		t.Fatalf("%+v", got)
	}
	eventually(t, "a diagnosis", func() bool { r, _ := s.find("daily#4"); return r.Diagnosis != nil })
	got := h.run("explain", "--server", s.url, "daily#4")
	for _, want := range []string{"; default policy", "overdue", "\nValueError: no. Changed since the last good run, #3: command, labels.\n", "labels: (none) → try=1", "half took"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("explain does not say %q: %s%s", want, got.stdout, got.stderr)
		}
	}
	write("rules:\n  overdue: {limit: 1m}\n  staled: {}\n")
	if got := h.run("job", "set", "--server", s.url, "daily", "--policy", file); got.code == 0 || !strings.Contains(got.stderr, file+`:3:3: "staled" is not known`) {
		t.Errorf("a wrong policy: %+v", got)
	}
	write("actions:\n  failed: {notify: false}\n")
	if got := h.run("policy", "test", "--server", s.url, "daily", "--policy", file); got.code != 0 || !strings.Contains(got.stdout, "over 4 runs: 0 would be raised, 1 missed") || !strings.Contains(got.stdout, "failed: Exited with code 4.") {
		t.Errorf("policy test: %+v", got)
	}
	if got := h.run("job", "set", "--server", s.url, "daily", "--policy", file); got.code != 0 {
		t.Errorf("job set: %+v", got)
	}
	if got := h.run("job", "show", "--server", s.url, "daily"); got.code != 0 || !strings.Contains(got.stdout, "failed: {notify: false}") || !strings.Contains(got.stdout, "last 3 good runs") {
		t.Errorf("job show: %+v", got)
	}
	if got := h.run("job", "set", "--server", s.url, "daily", "--default"); got.code != 0 || !strings.Contains(got.stdout, "default policy applies") {
		t.Errorf("job set --default: %+v", got)
	}
}
