package e2e

import (
	"bytes"
	"debug/elf"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Each mistake gives one line that names it, an exit code that fits, and no stack trace.
func TestBadUsage(t *testing.T) {
	s, h := startServer(t), newHost(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	notStint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>another program</html>")
	}))
	defer notStint.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	texts := writeFiles(t, "big.yaml", "job: big\nscript: x\n"+strings.Repeat("# x\n", 10<<18), "bomb.yaml", "job: a\nenv: {A: &a [x], B: &b [*a, *a]}\nscript: x\n",
		"brackets.yaml", strings.Repeat("[", 200_000), "path.yaml", "job: a\nscript: x\nparameters: [{name: PATH, type: text}]\n")
	long := strings.Repeat("n", 100_000)
	nobody := "http://" + freeAddress(t)
	for _, c := range []struct {
		name  string
		args  []string
		code  int
		names string // what the message must name
	}{
		{"unknown flag", []string{"run", "--severity", "5", "--", "true"}, 2, "severity"},
		{"unknown command", []string{"serve"}, 2, "serve"},
		{"no command to run", []string{"run"}, 2, "command"},
		{"server that is no URL", []string{"runs", "--server", "::nonsense::"}, 2, "nonsense"},
		{"server of another scheme", []string{"flush", "--server", "ftp://h/"}, 2, "ftp"},
		{"timeout that is no duration", []string{"run", "--timeout", "soon", "--", "true"}, 2, "soon"},
		{"size that is no size", []string{"run", "--memory-limit", "plenty", "--", "true"}, 2, "plenty"},
		{"memory limit with which nothing starts", []string{"run", "--memory-limit", "100K", "--", "true"}, 2, "--memory-limit: 100K is less than 4 MiB"},
		{"CPU limit that no kernel holds", []string{"run", "--cpu-limit", "0.001", "--", "true"}, 2, "--cpu-limit: 0.001 is less than 0.01 cores"},
		{"label without =", []string{"run", "--label", "team", "--", "true"}, 2, "team"},
		{"job name that is a path", []string{"run", "--job", "a/b", "--", "true"}, 2, "a/b"},
		{"job name that is long", []string{"run", "--job", long, "--", "true"}, 2, "job name"},
		{"script and command", []string{"run", "-c", "true", "--", "true"}, 2, "choose one"},
		{"run id that is none", []string{"run", "--run-id", "7", "--", "true"}, 2, "run id"},
		{"directory that is not there", []string{"run", "--server", nobody, "--flush-timeout", "1ms", "--dir", "/nowhere/at/all", "--", "true"}, 2, "/nowhere/at/all"},
		{"command that is not there", []string{"run", "--server", nobody, "--flush-timeout", "1ms", "--", "no-such-command-anywhere"}, 127, "no-such-command-anywhere"},
		{"command that is not executable", []string{"run", "--server", nobody, "--flush-timeout", "1ms", "--", file}, 126, file},
		{"listen address that is none", []string{"server", "--listen", "here", "--data", data}, 2, "here"},
		{"port in use", []string{"server", "--listen", taken.Addr().String(), "--data", data}, 1, taken.Addr().String()},
		{"open to everybody with a token", []string{"server", "--listen", "0.0.0.0:0", "--data", data, "--insecure", "--require-token"}, 2, "--insecure and --require-token"},
		{"data directory that is a file", []string{"server", "--listen", "127.0.0.1:0", "--data", file}, 1, file},
		{"database of another kind", []string{"server", "--database", "mysql://h/d"}, 2, "postgres"},
		{"run that is no run", []string{"show", "--server", s.url, "x"}, 1, "run x was not found"},
		{"job that has no definition", []string{"submit", "--server", s.url, "nothing"}, 1, `"nothing"`},
		{"submission of nothing", []string{"submit", "--server", s.url}, 2, "JOB"},
		{"submission of a run that is not there", []string{"submit", "--server", s.url, "--again", "nothing#7"}, 1, "nothing#7"},
		{"job without a run", []string{"cancel", "--server", s.url, "nothing"}, 1, "run nothing was not found"},
		{"definition of 10 MB", []string{"apply", "--server", s.url, filepath.Join(texts, "big.yaml")}, 2, "262144 bytes"},
		{"definition with anchors", []string{"apply", "--server", s.url, filepath.Join(texts, "bomb.yaml")}, 2, "2:10"},
		{"definition with many brackets", []string{"apply", "--server", s.url, filepath.Join(texts, "brackets.yaml")}, 2, "brackets.yaml"},
		{"parameter with a reserved name", []string{"apply", "--server", s.url, filepath.Join(texts, "path.yaml")}, 2, "PATH"},
		{"worker with a name that is a path", []string{"worker", "run", "--server", s.url, "--name", "a/b"}, 2, "a/b"},
		{"worker without slots", []string{"worker", "run", "--server", s.url, "--slots", "0"}, 2, "--slots"},
		{"server that is away", []string{"runs", "--server", nobody}, 3, nobody},
		{"server that is another program", []string{"runs", "--server", notStint.URL}, 3, notStint.URL},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := h.run(c.args...)
			if got.code != c.code {
				t.Errorf("exit code %d, want %d: %.500s", got.code, c.code, got.stderr)
			}
			if !strings.Contains(got.stderr, c.names) {
				t.Errorf("the message does not name %q: %.500s", c.names, got.stderr)
			}
			if strings.Contains(got.stderr, "goroutine ") || strings.Contains(got.stderr, "panic") || len(got.stderr) > 3000 {
				t.Errorf("this is no message for a person: %.3000s", got.stderr)
			}
		})
	}
}

// A state directory that cannot be written: the job runs all the same, and arrives.
func TestStateDirectoryNotWritable(t *testing.T) {
	s := startServer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, state: filepath.Join(file, "state")}
	got := h.run("run", "--server", s.url, "--job", "diskless", "-c", "echo out; exit 3")
	if got.code != 3 || got.stdout != "out\n" || !strings.Contains(got.stderr, h.state) {
		t.Errorf("stint run: %+v; want it to say that %s cannot be used", got, h.state)
	}
	if r := s.ended("diskless#1"); r.Outcome.ExitCode == nil || *r.Outcome.ExitCode != 3 || !r.Output.Complete {
		t.Errorf("the run is %+v", r)
	}
}

// A second server on the same data directory is refused, and names the first.
func TestTwoServersOnOneDirectory(t *testing.T) {
	s, h := startServer(t), newHost(t)
	got := h.run("server", "--listen", "127.0.0.1:0", "--data", s.data)
	if got.code != 1 || !strings.Contains(got.stderr, s.data) {
		t.Errorf("second server: %+v", got)
	}
}

// What is not a journal, or not JSON, or too large, is refused with a problem and harms
// nothing.
func TestBadRequests(t *testing.T) {
	s, h := startServer(t), newHost(t)
	if got := h.run("run", "--server", s.url, "--job", "good", "-c", "echo good"); got.code != 0 {
		t.Fatalf("stint run: %+v", got)
	}
	id := s.ended("good#1").ID
	fresh := "0198c1f2-7b1c-7cc2-9c2a-0f3d5b6a7e10"
	for _, c := range []struct {
		name, method, path string
		body               io.Reader
		code               int
	}{
		{"bytes that are no journal", "POST", "/api/v1/runs/" + fresh + "/attempts/1/journal?offset=0", strings.NewReader("hello"), 422},
		{"beyond the end", "POST", "/api/v1/runs/" + fresh + "/attempts/1/journal?offset=999", strings.NewReader("hello"), 409},
		{"an attempt that has ended, again from 0", "POST", "/api/v1/runs/" + id + "/attempts/1/journal?offset=0", strings.NewReader("STINTJ\r\n"), 409},
		{"an id that is none", "POST", "/api/v1/runs/7/attempts/1/journal?offset=0", strings.NewReader("x"), 400},
		{"too large", "POST", "/api/v1/runs/" + fresh + "/attempts/1/journal?offset=0", bytes.NewReader(make([]byte, 20<<20)), 413},
		{"heartbeat that is no JSON", "POST", "/api/v1/runs/" + id + "/attempts/1/heartbeat", strings.NewReader("{"), 400},
		{"unknown parameter", "GET", "/api/v1/runs?colour=red", nil, 400},
		{"unknown run", "GET", "/api/v1/runs/" + fresh, nil, 404},
		{"unknown path", "GET", "/api/v1/nothing", nil, 404},
		{"wrong method", "DELETE", "/api/v1/runs", nil, 405},
		{"status that is no JSON", "PUT", "/compat/x/status", strings.NewReader("started"), 400},
		{"wrong token", "GET", "/api/v1/runs", nil, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, s.url+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if c.code == 401 {
				req.Header.Set("Authorization", "Bearer stint_wrong")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.code || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("HTTP %d (%s), want %d with a problem: %s", resp.StatusCode, resp.Header.Get("Content-Type"), c.code, body)
			}
		})
	}
	if log := s.log(id, ""); string(log) != "good\n" {
		t.Errorf("the good run now has %q", log)
	}
}

// The agent is one static file of at most 10 MB.
func TestAgentIsStaticAndSmall(t *testing.T) {
	info, err := os.Stat(stintAgent)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 10_000_000 {
		t.Errorf("stint-agent has %d bytes; the most is 10 MB", info.Size())
	}
	if runtime.GOOS != "linux" {
		return // other systems have no static programs
	}
	f, err := elf.Open(stintAgent)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("stint-agent asks for a dynamic loader")
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("stint-agent wants %v, %v", libs, err)
	}
}

// The agent alone does what the whole program does for a job.
func TestAgentAlone(t *testing.T) {
	s, h := startServer(t), newHost(t)
	got := finish(t, h.command(stintAgent, "run", "--server", s.url, "--job", "alone", "-c", "echo out; exit 9"))
	if got.code != 9 || got.stdout != "out\n" {
		t.Errorf("stint-agent run: %+v", got)
	}
	if r := s.ended("alone#1"); *r.Outcome.ExitCode != 9 || r.AgentVersion != "e2e" {
		t.Errorf("the run is %+v", r)
	}
}
