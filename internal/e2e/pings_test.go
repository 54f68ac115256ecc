package e2e

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// pingURL sets an expectation, and returns where its job is pinged.
func pingURL(t *testing.T, s *server, h *host, name string) string {
	t.Helper()
	if got := h.run("job", "due", name, "--every", "1d", "--server", s.url); got.code != 0 {
		t.Fatalf("job due: %+v", got)
	}
	var due api.JobDue
	if err := json.Unmarshal(s.get("/api/v1/jobs/"+name+"/due"), &due); err != nil {
		t.Fatal(err)
	}
	return s.url + due.PingURL
}

// A script that reports its start and its exit code by curl makes a run of each time.
func TestPingsOfAScript(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here: install it to run this test")
	}
	s, h := startServer(t), newHost(t)
	script := `curl -fsS -m 10 --retry 5 "$URL/start" >/dev/null
sh -c "echo done; exit $CODE" >out 2>&1
curl -fsS -m 10 --retry 5 --data-binary @out "$URL/$?"`
	for code, want := range map[string]job.State{"0": job.Succeeded, "7": job.Failed} {
		name := "script-" + code
		for _, at := range []string{"/ping/", "/"} { // as to a server of one's own, and as to the hosted one
			cmd := h.command("sh", "-c", script)
			cmd.Dir = t.TempDir()
			cmd.Env = append(cmd.Env, "URL="+strings.Replace(pingURL(t, s, h, name), "/ping/", at, 1), "CODE="+code)
			if got := finish(t, cmd); got.code != 0 || got.stdout != "OK" {
				t.Fatalf("curl: %+v", got)
			}
		}
		for _, run := range []string{"#1", "#2"} {
			if r := s.ended(name + run); r.State != want || r.Output.Bytes != 5 {
				t.Errorf("%s%s: the run is %s and has printed %d bytes", name, run, r.State, r.Output.Bytes)
			}
		}
	}
	// And from a run of Stint.
	at := pingURL(t, s, h, "second")
	if got := h.run("run", "--report-to", "hc+"+at, "-c", "echo done; exit 5"); got.code != 5 {
		t.Errorf("--report-to: %+v", got)
	}
	r := s.ended("second#1")
	if r.State != job.Failed || r.Outcome.ExitCode == nil || *r.Outcome.ExitCode != 5 || r.Output.Bytes != 5 {
		t.Errorf("--report-to: the run is %s, %+v", r.State, r.Outcome)
	}
}

// runitor, a client of Healthchecks, needs another address and nothing else.
func TestRunitor(t *testing.T) {
	runitor := os.Getenv("RUNITOR")
	if runitor == "" {
		t.Skip("make runitor RUNITOR=FILE runs it: neither a Debian package nor the mirror of modules has the program")
	}
	s, h := startServer(t), newHost(t)
	u, err := url.Parse(pingURL(t, s, h, "nightly"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		base string
		args []string
		code int
		want job.State
	}{
		"nightly": {"/ping", []string{"-uuid", strings.TrimPrefix(u.Path, "/ping/")}, 3, job.Failed},
		"made":    {"", []string{"-ping-key", "0123456789abcdefghijkl", "-slug", "made", "-create"}, 0, job.Succeeded},
		"again":   {"/ping", []string{"-ping-key", "any", "-slug", "again", "-create", "-no-run-id"}, 0, job.Succeeded},
	} {
		cmd := h.command(runitor, append(c.args, "--", "sh", "-c", "seq 1 20000; exit $CODE")...)
		cmd.Env = append(cmd.Env, "HC_API_URL="+s.url+c.base, "CODE="+map[int]string{0: "0", 3: "3"}[c.code])
		if got := finish(t, cmd); got.code != c.code {
			t.Fatalf("runitor: %d %s", got.code, got.stderr)
		}
		r := s.ended(name + "#1")
		if r.State != c.want || r.StartedAt == nil || r.Output.Bytes < 100_000 || !r.Output.Complete {
			t.Errorf("%s: the run is %s, with %d bytes of output", name, r.State, r.Output.Bytes)
		}
	}
}
