package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/report"
)

const (
	putStarted   = `PUT /compat/j/status {"status":"started"}`
	putCompleted = `PUT /compat/j/status {"status":"completed"}`
	putFailed    = `PUT /compat/j/status {"status":"failed"}`
	putHeartbeat = "PUT /compat/j/heartbeat "
)

// callServer is a server of the two calls that runs are reported with.
type callServer struct {
	// answer is the status for a call that has come so many times; gone is closed when the
	// caller does not wait for it any more.
	answer func(call string, times int, gone <-chan struct{}) int

	mu    sync.Mutex
	calls []string
}

func (s *callServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a body that breaks off makes a call that no test expects
	call := r.Method + " " + r.URL.Path + " " + string(body)
	s.mu.Lock()
	s.calls = append(s.calls, call)
	times := 0
	for _, c := range s.calls {
		if c == call {
			times++
		}
	}
	s.mu.Unlock()
	w.WriteHeader(s.answer(call, times, r.Context().Done()))
}

func (s *callServer) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func serve(t *testing.T, s *callServer) report.Reporter {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	r, err := report.NewReporter(srv.URL+"/compat/j/", "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// gate returns a shell command that waits until open was called.
func gate(t *testing.T) (wait string, open func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, so that opening does not wait
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return "read line < " + path, func() {
		if _, err := f.WriteString("\n"); err != nil {
			t.Error(err)
		}
	}
}

func TestReportsARunWithTwoCalls(t *testing.T) {
	for script, last := range map[string]string{"true": putCompleted, "exit 2": putFailed} {
		wait, open := gate(t)
		s := &callServer{answer: func(call string, times int, gone <-chan struct{}) int {
			if call == putHeartbeat && times == 3 { // on its way when the run ends
				open()
				<-gone
			}
			return http.StatusOK
		}}
		c, messages := config(t, nil, wait+"; "+script)
		c.Server, c.ReportTo, c.HeartbeatPeriod = nil, serve(t, s), 20*time.Millisecond
		Run(t.Context(), c)
		calls := s.all()
		if got, want := slices.Compact(slices.Clone(calls)), []string{putStarted, putHeartbeat, last}; !slices.Equal(got, want) || len(calls) < 5 {
			t.Errorf("calls %q, want three heartbeats or more between %q and %q", calls, putStarted, last)
		}
		if text := messages.text(); text != "" {
			t.Errorf("printed %q", text)
		}
	}
}

// A server that refuses the first "started", every heartbeat and the first "failed" changes
// nothing for the job, gets each status again, and is named in one line. The server decides
// when the job ends and when the last status is taken, so that no pause between two tries
// matters.
func TestReportingTroubleDoesNotDisturb(t *testing.T) {
	wait, open := gate(t)
	s := &callServer{answer: func(call string, times int, _ <-chan struct{}) int {
		if call == putHeartbeat && times == 2 { // they go on after one that failed
			open()
		}
		if call == putHeartbeat || times == 1 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}}
	c, messages := config(t, nil, wait+"; exit 6")
	c.Server, c.ReportTo, c.HeartbeatPeriod, c.FlushTimeout = nil, serve(t, s), 20*time.Millisecond, time.Hour
	if got := Run(t.Context(), c); got.ExitCode != 6 || got.Err != nil {
		t.Errorf("result %+v", got)
	}
	statuses := slices.DeleteFunc(s.all(), func(call string) bool { return call == putHeartbeat })
	if want := []string{putStarted, putStarted, putFailed, putFailed}; !slices.Equal(statuses, want) {
		t.Errorf("statuses %q, want each until it was taken: %q", statuses, want)
	}
	if strings.Count(messages.text(), "report to ") != 1 || strings.Contains(messages.text(), "\n") {
		t.Errorf("printed %q", messages.text())
	}
}

// A server that refuses the last status does not hold the end up beyond the flush timeout.
func TestReportingEndsWithTheFlushTimeout(t *testing.T) {
	s := &callServer{answer: func(call string, _ int, _ <-chan struct{}) int {
		if call == putFailed {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}}
	c, _ := config(t, nil, "exit 6")
	c.Server, c.ReportTo, c.HeartbeatPeriod, c.FlushTimeout = nil, serve(t, s), time.Hour, time.Nanosecond
	if got := Run(t.Context(), c); got.ExitCode != 6 {
		t.Errorf("result %+v", got)
	}
	if got, want := s.all(), []string{putStarted, putFailed}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// The sentence with which a run ended goes to another server, so it has no secret of the job in it.
func TestTheEndIsReportedWithoutSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	s := &callServer{answer: func(string, int, <-chan struct{}) int { return http.StatusOK }}
	srv := httptest.NewServer(s)
	defer srv.Close()
	c, _ := config(t, nil, "")
	c.Args, c.Env = []string{"/no/such/" + secret}, append(c.Env, "API_PASSWORD="+secret)
	var err error
	if c.ReportTo, err = report.NewReporter("hc+"+srv.URL+"/b7e1", c.Run); err != nil {
		t.Fatal(err)
	}
	c.Server = nil
	Run(t.Context(), c)
	calls := s.all()
	if len(calls) != 2 || !strings.HasPrefix(calls[0], "POST /b7e1/start ") || !strings.HasPrefix(calls[1], "POST /b7e1/127 ") ||
		!strings.Contains(calls[1], "/no/such/") || strings.Contains(calls[1], secret) {
		t.Errorf("calls %q", calls)
	}
}
