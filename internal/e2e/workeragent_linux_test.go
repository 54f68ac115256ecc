package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	workerToken  = "stint_worker"
	attemptToken = "sta_attempt"
)

// claimServer gives runs to workers and permits to their agents, to the rules of the wire, and keeps
// journals. Everything wants its own token.
type claimServer struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	queue    []job.Claim
	given    map[string][]job.Claim // by claim id
	permits  map[string]string      // incarnations, by run
	journals map[string][]byte      // by run
	beats    map[string]int         // by run
	requests []job.ClaimRequest
	released []string
	faults   []string // what a client must not do
	repeat   int      // how often each request for a permit is acted on
	changed  chan struct{}
}

func newClaimServer(t *testing.T) *claimServer {
	s := &claimServer{
		t: t, given: map[string][]job.Claim{}, permits: map[string]string{}, journals: map[string][]byte{}, beats: map[string]int{},
		repeat: 1, changed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/workers/{worker}/claims", s.claims)
	mux.HandleFunc("POST /api/v1/workers/{worker}/claims/{claim}/release", s.release)
	mux.HandleFunc("POST /api/v1/runs/{run}/attempts/{n}/journal", s.append)
	mux.HandleFunc("POST /api/v1/runs/{run}/attempts/{n}/heartbeat", s.beat)
	web := httptest.NewServer(mux)
	s.url = web.URL
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, fault := range s.faults {
			t.Error(fault)
		}
	})
	return s
}

func (s *claimServer) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// submit queues a run of a shell script and returns its id.
func (s *claimServer) submit(spec job.Spec) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec.Version = job.SpecVersion
	c := job.Claim{
		Claim: uuid.NewString(), Token: "claim-" + uuid.NewString(), Run: uuid.Must(uuid.NewV7()).String(), Attempt: 1, Job: "report",
		Definition: "d1", Parameters: map[string]string{"DAY": "2026-11-27"}, Spec: spec, LeftMS: 15000,
	}
	s.queue = append(s.queue, c)
	s.touch()
	return c.Run
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client reports it
}

// allowed checks the token of a request.
func (s *claimServer) allowed(r *http.Request, token string) {
	want := ""
	if token != "" {
		want = "Bearer " + token
	}
	if got := r.Header.Get("Authorization"); got != want {
		s.faults = append(s.faults, fmt.Sprintf("%s %s came with %q, not %q", r.Method, r.URL.Path, got, token))
	}
}

func (s *claimServer) claims(w http.ResponseWriter, r *http.Request) {
	var in job.ClaimRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Errorf("a request for runs: %v", err)
	}
	end := time.NewTimer(time.Duration(in.WaitMS) * time.Millisecond)
	defer end.Stop()
	s.mu.Lock()
	s.allowed(r, workerToken)
	s.requests = append(s.requests, in)
	s.touch()
	for over := false; ; {
		claims, known := s.given[in.ClaimID]
		if n := min(in.Free, len(s.queue)); !known && n > 0 {
			claims, s.queue = slices.Clone(s.queue[:n]), s.queue[n:]
			s.given[in.ClaimID] = claims
		}
		if len(claims) > 0 || over {
			s.mu.Unlock()
			answerJSON(w, 200, job.ClaimReply{ClaimID: in.ClaimID, Worker: r.PathValue("worker"), Claims: claims, Now: time.Now()})
			return
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-end.C:
			over = true
		case <-r.Context().Done():
			return
		}
		s.mu.Lock()
	}
}

func (s *claimServer) release(w http.ResponseWriter, r *http.Request) {
	var in job.ReleaseRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Errorf("a release: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed(r, workerToken)
	s.released = append(s.released, in.Reason)
	s.touch()
	answerJSON(w, 200, map[string]any{})
}

// claimed is the claim of a run, if it has the token.
func (s *claimServer) claimed(run, token string) bool {
	for _, claims := range s.given {
		for _, c := range claims {
			if c.Run == run && c.Token == token {
				return true
			}
		}
	}
	return false
}

func (s *claimServer) append(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	run := r.PathValue("run")
	out := map[string]any{"run": run, "attempt": 1, "server": "test"}
	incarnation := r.Header.Get(job.HeaderIncarnation)
	if incarnation == "" {
		s.allowed(r, attemptToken)
	} else {
		s.allowed(r, "") // the token of the claim is enough
		for range s.repeat {
			out["permit"] = s.permit(run, incarnation, r.Header.Get(job.HeaderClaim))
		}
		out["lease_ms"], out["attempt_token"] = 30000, attemptToken
		if out["permit"] != job.PermitGranted {
			out["why"], out["size"] = "another process has it", 0
			answerJSON(w, 200, out)
			return
		}
	}
	have := int64(len(s.journals[run]))
	if offset := r.URL.Query().Get("offset"); offset != fmt.Sprint(have) {
		out["type"], out["title"], out["status"], out["size"] = job.ProblemWrongOffset, "Conflict", 409, have
		answerJSON(w, 409, out)
		return
	}
	s.journals[run] = append(s.journals[run], data...)
	out["size"] = len(s.journals[run])
	answerJSON(w, 200, out)
}

// permit is the answer to a process: the first one gets it.
func (s *claimServer) permit(run, incarnation, token string) string {
	if !s.claimed(run, token) || s.permits[run] != "" && s.permits[run] != incarnation {
		return job.PermitRefused
	}
	s.permits[run] = incarnation
	return job.PermitGranted
}

func (s *claimServer) beat(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	s.allowed(r, attemptToken)
	s.beats[r.PathValue("run")]++
	answerJSON(w, 200, map[string]any{
		"run": r.PathValue("run"), "attempt": 1, "server": "test", "owner": true, "lease_ms": 30000, "next_ms": 1000, "commands": []any{},
	})
}

// wait waits until something holds of the server.
func (s *claimServer) wait(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		holds, changed := ok(), s.changed
		s.mu.Unlock()
		if holds {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.t.Fatalf("after %s it does not hold: %s", patience, what)
		}
	}
}

// asked is how many requests for runs have come.
func (s *claimServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// permitted are the incarnations that have a permit, by run.
func (s *claimServer) permitted() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.permits)
}

// parts are what a journal says.
type parts struct {
	attempt journal.Attempt
	output  string
	final   *journal.Final
}

// read takes the journal of a run apart. The caller holds mu.
func (s *claimServer) read(run string) (p parts) {
	data := s.journals[run]
	if len(data) < journal.HeaderSize {
		return p
	}
	rest, at := data[journal.HeaderSize:], int64(journal.HeaderSize)
	for len(rest) > 0 {
		rec, n, err := journal.Next(rest, at)
		if err != nil {
			s.t.Errorf("the journal of run %s at byte %d: %v", run, at, err)
			return p
		}
		switch rec.Type {
		case journal.TypeAttempt:
			err = journal.Decode(rec, &p.attempt)
		case journal.TypeOutput:
			var o journal.Output
			o, err = journal.DecodeOutput(rec)
			p.output += string(o.Data)
		case journal.TypeOutcome:
			p.final = &journal.Final{}
			err = journal.Decode(rec, p.final)
		}
		if err != nil {
			s.t.Errorf("the journal of run %s: %v", run, err)
		}
		rest, at = rest[n:], at+int64(n)
	}
	return p
}

// ended waits for the outcome of a run.
func (s *claimServer) ended(run string) (p parts) {
	s.t.Helper()
	s.wait("run "+run+" has ended", func() bool {
		p = s.read(run)
		return p.final != nil
	})
	return p
}

// workerOn starts a worker on a host. Its messages go to a file: agents have it too, and outlive
// the worker.
func workerOn(t *testing.T, h *host, program, url string, args ...string) *exec.Cmd {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(workerToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	messages, err := os.OpenFile(filepath.Join(h.state, "messages"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	cmd := exec.Command(program, append([]string{"worker", "run", "--server", url, "--token-file", token, "--name", "w7"}, args...)...)
	cmd.Env, cmd.Stderr = h.environment(), messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
		if text, err := os.ReadFile(filepath.Join(h.state, "messages")); err == nil && t.Failed() {
			t.Logf("the worker and its agents printed:\n%s", text)
		}
	})
	return cmd
}

// agentsOf are the numbers of the agents' processes on a host.
func agentsOf(t *testing.T, run string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(text, []byte("stint-agent\x00attempt\x00"+run+"\x00")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/cmdline", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A job gets what its claim names and nothing else, and the secrets of worker and agent are nowhere
// to be seen.
func TestWorkerRunsAClaim(t *testing.T) {
	s := newClaimServer(t)
	s.repeat = 3 // as a proxy that sends a request again
	h := newHost(t)
	dir := t.TempDir()
	run := s.submit(job.Spec{
		Args: []string{"sh", "-c", `env | sort | grep -v '^_='; readlink /proc/self/fd/0; pwd; tr '\0' ' ' < /proc/$PPID/cmdline; ls /proc/self/fd | wc -l; exit 7`},
		Dir:  dir, Env: map[string]string{"DAY": "2026-11-27", "REGION": "eu"}, Labels: map[string]string{"team": "data"}, TimeoutMS: 60000,
	})
	t.Setenv("PASSED", "on")
	t.Setenv("NOT_PASSED", "secret")
	workerOn(t, h, stintAgent, s.url, "--pass-env", "PASSED")
	got := s.ended(run)
	if o := got.final.Outcome; o.ExitCode == nil || *o.ExitCode != 7 {
		t.Errorf("outcome %+v", o)
	}
	id := got.attempt
	if id.Definition != "d1" || id.Worker != "w7" || id.Incarnation != s.permitted()[run] || id.Parameters["DAY"] != "2026-11-27" ||
		id.Labels["team"] != "data" || id.TimeoutMS != 60000 || id.Dir != dir || !slices.Equal(id.EnvNames, []string{"DAY", "REGION"}) {
		t.Errorf("identity %+v", id)
	}
	names := map[string]string{}
	lines := strings.Split(got.output, "\n")
	for _, line := range lines {
		if name, value, found := strings.Cut(line, "="); found {
			names[name] = value
		}
	}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "DAY", "REGION", "PASSED", "STINT_RUN_ID", "STINT_JOB", "STINT_ATTEMPT", "STINT_SERVER"} {
		if names[name] == "" {
			t.Errorf("the job has no %s: %q", name, got.output)
		}
	}
	allowed := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "DAY", "REGION", "PASSED", "PWD", "OLDPWD", "SHLVL", "NOTIFY_SOCKET"}
	for name := range names {
		if !slices.Contains(allowed, name) && !strings.HasPrefix(name, "STINT_") {
			t.Errorf("the job has %s", name)
		}
	}
	if names["PASSED"] != "on" || names["STINT_TOKEN"] != "" || !slices.Contains(lines, "/dev/null") || !slices.Contains(lines, dir) {
		t.Errorf("the job printed %q", got.output)
	}
	if strings.Contains(got.output, "secret") || strings.Contains(got.output, "token") {
		t.Errorf("the job printed a secret: %q", got.output)
	}
}

// The worker is killed while its agents run, and the next one finds them.
func TestAgentsOutliveTheWorker(t *testing.T) {
	s := newClaimServer(t)
	h := newHost(t)
	release := filepath.Join(t.TempDir(), "go")
	script := fmt.Sprintf("echo ready; while [ ! -e %s ]; do sleep 0.05; done; echo done", release)
	run := s.submit(job.Spec{Args: []string{"sh", "-c", script}})
	first := workerOn(t, h, stint, s.url, "--slots", "1")
	s.wait("the job runs", func() bool { return strings.Contains(s.read(run).output, "ready") })
	agents := agentsOf(t, run)
	if len(agents) != 1 {
		t.Fatalf("agents %v", agents)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	seen := s.asked()
	workerOn(t, h, stintAgent, s.url, "--slots", "1")
	s.wait("the next worker reports the agent", func() bool {
		return slices.ContainsFunc(s.requests[seen:], func(r job.ClaimRequest) bool {
			return slices.Equal(r.Running, []job.AttemptRef{{Run: run, Attempt: 1}}) && r.Free == 0
		})
	})
	if now := agentsOf(t, run); !slices.Equal(now, agents) {
		t.Errorf("agents %v, then %v", agents, now)
	}
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.ended(run); got.output != "ready\ndone\n" || got.final.Outcome.State != job.Succeeded {
		t.Errorf("%q, %+v", got.output, got.final)
	}
	s.wait("the slot is free", func() bool { return s.requests[len(s.requests)-1].Free == 1 })
	if permits := s.permitted(); len(permits) != 1 {
		t.Errorf("permits %v", permits)
	}
}

// Under a service manager the worker ends at the first signal; without one the second stops the
// agents.
func TestWorkerIsAskedToEnd(t *testing.T) {
	s := newClaimServer(t)
	h := newHost(t)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	run := s.submit(job.Spec{Args: []string{"sh", "-c", "echo ready; exec sleep 600"}})
	t.Setenv("NOTIFY_SOCKET", socket.LocalAddr().String())
	managed := workerOn(t, h, stint, s.url)
	s.wait("the job runs", func() bool { return strings.Contains(s.read(run).output, "ready") })
	message := make([]byte, 1000)
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, err := socket.Read(message); err != nil || !strings.HasPrefix(string(message[:n]), "READY=1\n") {
		t.Errorf("the manager got %q, %v", message[:n], err)
	}
	if err := managed.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := managed.Wait(); err != nil || len(agentsOf(t, run)) != 1 {
		t.Errorf("the worker ended with %v, agents %v", err, agentsOf(t, run))
	}
	t.Setenv("NOTIFY_SOCKET", "")
	seen := s.asked()
	alone := workerOn(t, h, stint, s.url)
	s.wait("the next worker reports the agent", func() bool {
		return slices.ContainsFunc(s.requests[seen:], func(r job.ClaimRequest) bool { return len(r.Running) == 1 })
	})
	for _, leaving := range []bool{true, false} {
		if err := alone.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if leaving {
			s.wait("the worker reports that it ends", func() bool { return s.requests[len(s.requests)-1].Leaving })
		}
	}
	if got := s.ended(run); got.final.Outcome.State != job.Canceled || got.final.Outcome.Reason != job.Evicted {
		t.Errorf("outcome %+v", got.final.Outcome)
	}
	if err := alone.Wait(); err != nil {
		t.Error(err)
	}
}

// The watcher of an agent that was killed delivers the journal with the token beside it.
func TestAgentOfAWorkerIsKilled(t *testing.T) {
	s := newClaimServer(t)
	h := newHost(t)
	run := s.submit(job.Spec{Args: []string{"sh", "-c", "echo ready; exec sleep 600"}})
	workerOn(t, h, stint, s.url, "--slots", "1")
	s.wait("the job runs", func() bool { return strings.Contains(s.read(run).output, "ready") && s.beats[run] > 0 })
	for _, pid := range agentsOf(t, run) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.ended(run); got.final.Outcome.State != job.Lost || got.final.Outcome.Reason != job.AgentLost {
		t.Errorf("outcome %+v", got.final.Outcome)
	}
	s.wait("the slot is free", func() bool { return s.requests[len(s.requests)-1].Free == 1 })
	eventually(t, "nothing is left in the spool", func() bool {
		left, err := filepath.Glob(filepath.Join(h.state, "spool", "*"))
		return err == nil && len(left) == 0
	})
}

// An agent that cannot be started as the claim asks gives the reason.
func TestClaimThatTheHostCannotRun(t *testing.T) {
	s := newClaimServer(t)
	h := newHost(t)
	run := s.submit(job.Spec{Args: []string{"true"}, Env: map[string]string{"A B": "x"}})
	workerOn(t, h, stint, s.url)
	reason := ""
	s.wait("the claim is given back", func() bool {
		if len(s.released) > 0 {
			reason = s.released[0]
		}
		return reason != ""
	})
	if permits := s.permitted(); !strings.Contains(reason, "white space in its name") || permits[run] != "" {
		t.Errorf("given back: %q, permits %v", reason, permits)
	}
}

// The second worker with one state directory is refused.
func TestSecondWorkerOfAStateDirectory(t *testing.T) {
	s := newClaimServer(t)
	h := newHost(t)
	workerOn(t, h, stint, s.url)
	s.wait("the worker asks for runs", func() bool { return len(s.requests) > 0 })
	cmd := h.command(stint, "worker", "run", "--server", s.url)
	if r := finish(t, cmd); r.code != 1 || !strings.Contains(r.stderr, "another worker (pid ") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%+v", r)
	}
}
