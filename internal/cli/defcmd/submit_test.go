package defcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"stint.dev/stint/internal/cli/await"
	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask runs a command against a server, and returns what it printed.
func ask(t *testing.T, server http.Handler, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
		root := &cobra.Command{Use: "stint"}
		root.AddCommand(Commands(&command.Program{Console: c, Version: "test"})...)
		return root
	}, args...)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"type":"urn:stint:not-found","title":"Not Found","status":404,"detail":"run was not found"}`)
}

// queueServer is a server with one run, that it says what the test wants of.
type queueServer struct {
	*http.ServeMux
	got    job.SubmitRequest
	id     string
	states []job.Run // which the live stream reports, the last at its end
	gates  []job.Gate
	block  chan struct{} // unless nil, the stream waits for it after its first event
}

func newQueueServer(t *testing.T) *queueServer {
	s := &queueServer{ServeMux: http.NewServeMux()}
	run := func(r job.Run) job.Run {
		r.ID, r.Number = s.id, 12
		if r.Job == "" {
			r.Job = "report"
		}
		return r
	}
	s.HandleFunc("PUT /api/v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		s.id, s.got = r.PathValue("run"), job.SubmitRequest{}
		if err := json.NewDecoder(r.Body).Decode(&s.got); err != nil {
			t.Error(err)
		}
		clitest.Answer(t, w, run(job.Run{Job: s.got.Job, State: job.Queued}))
	})
	s.HandleFunc("GET /api/v1/runs/{run}/explain", func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, api.Explanation{Waiting: &job.QueuedRun{Gates: s.gates}})
	})
	s.HandleFunc("GET /api/v1/runs/{run}/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		event := func(kind string, v any) {
			data, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, data)
			_ = http.NewResponseController(w).Flush()
		}
		for _, state := range s.states {
			event("run", run(state))
			if s.block != nil {
				close(s.block)
				<-r.Context().Done()
				return
			}
		}
		if r.URL.Query().Get("output") != "false" {
			event("output", map[string]string{"text": "hello\n"})
		}
		event("end", map[string]string{})
	})
	s.HandleFunc("GET /api/v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("run") {
		case s.id, "report", "report#12":
			clitest.Answer(t, w, run(s.states[len(s.states)-1]))
		default:
			notFound(w, r)
		}
	})
	return s
}

func code(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *console.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v has no exit code", err)
	}
	return exit.Code
}

func TestSubmit(t *testing.T) {
	s := newQueueServer(t)
	s.gates = []job.Gate{{Gate: job.GateNoWorker, Text: "no worker has the label gpu=true"}}
	out, _, err := ask(t, s, "submit", "report", "--param", "DAY=2026-11-27")
	if err != nil || !strings.Contains(out, "report#12  queued  "+s.id) || !strings.Contains(out, "no worker has the label gpu=true\n") {
		t.Errorf("%q, %v", out, err)
	}
	if s.got.Job != "report" || s.got.Parameters["DAY"] != "2026-11-27" || s.got.By == "" || job.CheckRunID(s.id) != nil || s.id[14] != '7' {
		t.Errorf("asked for %s: %+v", s.id, s.got)
	}
	if _, _, err = ask(t, s, "submit", "report", "--key", "k"); err != nil || s.id != job.RunIDForKey("report", "k") {
		t.Errorf("%s, %v", s.id, err)
	}
	s.states = []job.Run{{State: job.Queued}}
	s.id = job.RunIDForKey("report", "k")
	if _, _, err = ask(t, s, "submit", "--after", "report:ended", "--json", "--", "echo", "--wait"); err != nil {
		t.Fatal(err)
	}
	if len(s.got.After) != 1 || s.got.After[0] != (job.Dependency{Run: job.RunIDForKey("report", "k"), When: "ended"}) || strings.Join(s.got.Command.Args, " ") != "echo --wait" {
		t.Errorf("%+v", s.got)
	}
	before := s.id
	if _, _, err = ask(t, s, "submit", "--again", "report", "--param", "DAY=2026-11-28"); err != nil || s.got.Job != "report" || s.got.Again != before || s.got.Parameters["DAY"] != "2026-11-28" {
		t.Errorf("%+v, %v", s.got, err)
	}
	if _, _, err = ask(t, s, "submit", "report", "--after", "none"); err == nil || !strings.Contains(err.Error(), "--after none: run was not found") {
		t.Error(err)
	}
}

func TestSubmitAndWait(t *testing.T) {
	three := 3
	s := newQueueServer(t)
	begun := time.Now()
	s.states = []job.Run{
		{State: job.Queued},
		{State: job.Running, Attempt: 1, Host: "w7", StartedAt: &begun},
		{State: job.Retrying, Attempt: 1, StartedAt: &begun},
		{State: job.Running, Attempt: 2, Host: "w8", StartedAt: &begun},
		{State: job.Failed, Attempt: 2, StartedAt: &begun, Outcome: &job.Outcome{State: job.Failed, ExitCode: &three, Message: "The command exited with code 3."}},
	}
	out, stderr, err := ask(t, s, "submit", "report", "--wait")
	if code(t, err) != 3 || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	for _, text := range []string{"report#12 is queued\n", "is running on w7\n", "is retrying\n", "is running on w8, attempt 2\n", "report#12 is failed: The command exited with code 3."} {
		if !strings.Contains(stderr, text) {
			t.Errorf("%q is not in\n%s", text, stderr)
		}
	}
	out, _, err = ask(t, s, "submit", "report", "--follow")
	if code(t, err) != 3 || out != "hello\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, stderr, err = ask(t, s, "submit", "report", "--wait", "--json")
	var r job.Run
	if jsonErr := json.Unmarshal([]byte(out), &r); code(t, err) != 3 || jsonErr != nil || r.Attempt != 2 || strings.Contains(stderr, "queued") {
		t.Errorf("%q, %q, %v, %v", out, stderr, err, jsonErr)
	}
	for _, ref := range []string{"report", "report#12", s.id} {
		if _, _, err = ask(t, s, "wait", ref); code(t, err) != 3 {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, stderr, err = ask(t, s, "wait", "report", "none"); err == nil || !strings.Contains(err.Error(), "run was not found") || stderr != "" {
		t.Errorf("%q, %v", stderr, err)
	}
	s.states = []job.Run{{State: job.Canceled, Submitted: &job.Submission{Reason: "expired"}}}
	_, stderr, err = ask(t, s, "wait", "report")
	if code(t, err) != console.ExitNoStart || !strings.Contains(stderr, "report#12 never started: expired") {
		t.Errorf("%q, %v", stderr, err)
	}
	if _, _, err = ask(t, s, "wait", "none"); err == nil || !strings.Contains(err.Error(), "run was not found") {
		t.Error(err)
	}
}

// The error of the server is printed after one request: nothing is asked for twice.
func TestRefusedSubmissions(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		detail string
	}{
		"a full queue":         {http.StatusTooManyRequests, "the queue has 100000 runs, and takes no more"},
		"the key of another":   {http.StatusConflict, "run was submitted by another request, as report#3: use another id or key"},
		"a value":              {http.StatusBadRequest, `DAY: "never" is no date`},
		"no definition":        {http.StatusNotFound, `a definition of job "report" was not found`},
		"no right to commands": {http.StatusForbidden, "a command without a definition needs the scope author"},
	} {
		asked := 0
		_, stderr, err := ask(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(c.status)
			clitest.Encode(t, w, job.Problem{Type: "urn:stint:problem", Status: c.status, Detail: c.detail})
		}), "submit", "report", "--wait")
		if err == nil || !strings.Contains(err.Error(), c.detail) || asked != 1 || stderr != "" {
			t.Errorf("%s: asked %d times: %v, %q", name, asked, err, stderr)
		}
	}
}

// Ctrl-C ends the waiting and says how to cancel the run.
func TestInterruptedWaiting(t *testing.T) {
	s := newQueueServer(t)
	s.states, s.block = []job.Run{{State: job.Running, Attempt: 1}}, make(chan struct{})
	go func() {
		<-s.block
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	}()
	_, stderr, err := ask(t, s, "submit", "report", "--wait")
	if code(t, err) != await.Interrupted || !strings.Contains(stderr, "report#12 goes on without this command") || !strings.Contains(stderr, "stint cancel "+s.id) {
		t.Errorf("%q, %v", stderr, err)
	}
}
