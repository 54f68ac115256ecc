// Package e2e drives the real programs, built once, as a person or a script would: real
// processes, a real database, HTTP over loopback.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// stint and stintAgent are the paths of the built programs.
var stint, stintAgent string

// patience bounds every wait; nothing takes nearly as long.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if err := takeHangups(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if message := os.Getenv("E2E_NOTIFY"); message != "" {
		os.Exit(notifySocket(message))
	}
	if os.Getenv("E2E_BECOME_ROOT") != "" {
		os.Exit(becomeRoot())
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stint-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // some tests run the programs as another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	agent := []string{
		"-tags", "nethttpomithttp2", "-gcflags=crypto/...=-l", "-gcflags=github.com/spf13/...=-l", "-gcflags=github.com/netresearch/...=-l",
		"-gcflags=stint.dev/stint/internal/cli/...=-l", "-gcflags=stint.dev/stint/internal/definition=-l", "-gcflags=stint.dev/stint/internal/policy=-l",
		"-gcflags=stint.dev/stint/internal/yaml=-l", "-gcflags=stint.dev/stint/client/...=-l", "-gcflags=stint.dev/stint/internal/agent/cache/...=-l",
		"-gcflags=net/...=-l", "-gcflags=mime/...=-l", "-gcflags=math/big=-l", "-gcflags=text/template/...=-l", "-gcflags=encoding/json=-l", "-gcflags=encoding/asn1=-l", "-gcflags=reflect=-l",
	} // AGENT_FLAGS of the Makefile
	for name, flags := range map[string][]string{"stint": nil, "stint-agent": agent} {
		args := append([]string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=e2e"}, flags...)
		build := exec.Command("go", append(args, "-o", dir+"/", "stint.dev/stint/cmd/"+name)...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	stint, stintAgent = filepath.Join(dir, "stint"), filepath.Join(dir, "stint-agent")
	// The tests that are parallel wait for most of their time: for a lease to end, for the next round of a server.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return postgrestest.Main(m)
}

// host is a place where jobs run: a state directory of its own, and nothing of the
// environment that could lead to another server.
type host struct {
	t     *testing.T
	state string
	env   []string // besides
}

// hosts are those of the tests that run now.
var hosts struct {
	sync.Mutex
	all []*host
}

func newHost(t *testing.T) *host {
	h := &host{t: t, state: t.TempDir()}
	hosts.Lock()
	defer hosts.Unlock()
	hosts.all = append(hosts.all, h)
	t.Cleanup(func() {
		h.awaitWatchers()
		hosts.Lock()
		defer hosts.Unlock()
		hosts.all = slices.DeleteFunc(hosts.all, func(other *host) bool { return other == h })
	})
	return h
}

// awaitWatchers waits until no process has the host's state directory in its environment or its
// arguments, but not for long: the watcher of an agent that was killed completes its journal there,
// while the directory is to be removed.
func (h *host) awaitWatchers() {
	limit := time.After(5 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for h.isUsed() {
		select {
		case <-tick.C:
		case <-limit:
			return
		}
	}
}

func (h *host) isUsed() bool {
	for _, of := range []string{"environ", "cmdline"} {
		files, _ := filepath.Glob("/proc/[0-9]*/" + of) // none where there is no /proc
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), h.state) {
				return true
			}
		}
	}
	return false
}

// hostsOf are those of a test and of its subtests.
func hostsOf(t *testing.T) (all []*host) {
	hosts.Lock()
	defer hosts.Unlock()
	for _, h := range hosts.all {
		if strings.HasPrefix(h.t.Name()+"/", t.Name()+"/") {
			all = append(all, h)
		}
	}
	return all
}

func (h *host) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = patience
	cmd.Env = h.environment()
	return cmd
}

func (h *host) environment() []string {
	env := []string{"STINT_STATE=" + h.state, "STINT_CONFIG=/dev/null"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "STINT_") && !strings.HasPrefix(kv, "XDG_") {
			env = append(env, kv)
		}
	}
	return append(env, h.env...)
}

// result is what a program left behind.
type result struct {
	stdout, stderr string
	code           int
}

// run runs stint to its end.
func (h *host) run(args ...string) result {
	h.t.Helper()
	return finish(h.t, h.command(stint, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return result{stdout.String(), stderr.String(), shellCode(cmd.ProcessState)}
}

// server is a running stint server on a data directory that outlives it.
type server struct {
	t         *testing.T
	data, url string
	database  string // a PostgreSQL database instead of data; empty for none
	host      *host  // where it runs; nil for one of its own
	cmd       *exec.Cmd
	stderr    *written
}

// written is what a program that lives has written so far.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), url: "http://" + freeAddress(t)}
	s.start(args...)
	t.Cleanup(s.stop)
	return s
}

// onBothDatabases runs a test with a server on the embedded database and with one on
// PostgreSQL, where that is installed.
func onBothDatabases(t *testing.T, test func(*testing.T, *server)) {
	t.Run("embedded", func(t *testing.T) { test(t, startServer(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		s := &server{t: t, url: "http://" + freeAddress(t), database: postgrestest.URL(t)}
		s.start()
		t.Cleanup(s.stop)
		test(t, s)
	})
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start begins the server, or begins it again, and waits until it is ready.
func (s *server) start(args ...string) {
	s.t.Helper()
	place := []string{"--data", s.data}
	if s.database != "" {
		place = []string{"--database", s.database}
	}
	args = append(append([]string{"server", "--listen", strings.TrimPrefix(s.url, "http://")}, place...), args...)
	s.cmd = exec.Command(stint, args...)
	if s.host == nil {
		s.host = newHost(s.t)
	}
	s.cmd.Env = s.host.environment()
	s.stderr = &written{}
	s.cmd.Stderr = s.stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server is ready", func() bool {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// token makes a token on the server and returns its secret.
func (s *server) token(scope string) string {
	s.t.Helper()
	resp, err := http.Post(s.url+"/api/v1/tokens", "application/json", strings.NewReader(`{"name":"`+scope+`","scope":"`+scope+`"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Token == "" {
		s.t.Fatalf("make a token: status %d, %v", resp.StatusCode, err)
	}
	return made.Token
}

// kill ends the server the hardest way.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait() // it was killed, which is an error here
}

// stop ends the server in good order, which must be with exit code 0 and no stack trace.
func (s *server) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Error(err)
	}
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() }) // Wait returns the error
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server ended with %v: %s", err, s.stderr)
	}
	if strings.Contains(s.stderr.String(), "goroutine ") {
		s.t.Errorf("stack trace of the server: %s", s.stderr)
	}
}

// get reads a path of the API.
func (s *server) get(path string) []byte {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: HTTP %d: %s", path, resp.StatusCode, body)
	}
	return body
}

// find returns a run, if the server knows it.
func (s *server) find(ref string) (job.Run, bool) {
	var r job.Run
	resp, err := http.Get(s.url + "/api/v1/runs/" + url.PathEscape(ref))
	if err != nil {
		return r, false
	}
	defer resp.Body.Close()
	return r, resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(&r) == nil
}

// flushEvery is how often a wait for the end of a run delivers what waits. Where the machine
// has no time for a server to answer within a second, agents leave their journals to others.
const flushEvery = 10 * time.Second

// ended waits until a run has ended and returns it.
func (s *server) ended(ref string) job.Run {
	s.t.Helper()
	var r job.Run
	flushed := time.Now()
	eventually(s.t, ref+" has ended", func() bool {
		var known bool
		if r, known = s.find(ref); known && r.State.Terminal() {
			return true
		}
		if time.Since(flushed) > flushEvery {
			for _, h := range hostsOf(s.t) {
				flush := h.command(stint, "flush")
				flush.Env = append(flush.Env, "STINT_SERVER="+s.url)
				_ = flush.Run() // what it cannot deliver waits on
			}
			flushed = time.Now()
		}
		return false
	})
	return r
}

func (s *server) log(ref, query string) []byte {
	s.t.Helper()
	return s.get("/api/v1/runs/" + url.PathEscape(ref) + "/log" + query)
}

// eventually asks again and again, for a bounded time, until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s it does not hold: %s", patience, what)
		}
	}
}

// wantEnd checks how a run ended.
func wantEnd(t *testing.T, r job.Run, state job.State, reason job.Reason, code int) {
	t.Helper()
	if r.State != state || r.Outcome == nil || r.Outcome.Reason != reason || r.Outcome.ExitCode == nil || *r.Outcome.ExitCode != code {
		t.Errorf("the run is %s, outcome %+v; want %s, %s, %d", r.State, r.Outcome, state, reason, code)
	}
	if !r.Output.Complete || len(r.Output.Gaps) > 0 {
		t.Errorf("output is not proved complete: %+v", r.Output)
	}
	if r.StartedAt == nil || r.EndedAt == nil || r.EndedAt.Before(*r.StartedAt) {
		t.Errorf("started %v, ended %v", r.StartedAt, r.EndedAt)
	}
}

// shellCode is what a shell says of how a process ended: 128 and the signal, if one ended it.
func shellCode(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.ExitCode()
}

// takeHangups begins the test binary again where its parent (nohup, for one) ignores
// SIGHUP: the jobs of the tests would ignore it too.
func takeHangups() error {
	if !ossignal.Ignored(syscall.SIGHUP) {
		return nil
	}
	ossignal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // a signal that is taken is not ignored behind an exec
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}
