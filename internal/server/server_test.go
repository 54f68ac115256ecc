package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().UTC().Truncate(time.Millisecond)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// live is a server that listens, on a store of its own.
type live struct {
	t      *testing.T
	url    string
	addr   string
	srv    *server.Server
	store  *store.Store
	cancel context.CancelFunc
	served chan error
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Dir: dir, SecretKeyFile: filepath.Join(dir, "secret.key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// start serves cfg on a loopback port; the store is made when cfg has none.
func start(t *testing.T, cfg server.Config) *live {
	t.Helper()
	l := &live{t: t, served: make(chan error, 1)}
	if cfg.Store == nil {
		l.store = openStore(t, t.TempDir())
		cfg.Store = l.store
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	var err error
	if l.srv, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	l.url = "http://" + l.addr
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.served <- l.srv.Serve(ctx, ln) }()
	t.Cleanup(func() { l.stop() })
	return l
}

// stop shuts the server down and reports what Serve returned.
func (l *live) stop() {
	l.t.Helper()
	if l.cancel == nil {
		return
	}
	l.cancel()
	l.cancel = nil
	if err := <-l.served; err != nil {
		l.t.Errorf("Serve returned %v", err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%.500s", r.status, err, r.body)
	}
}

// problem checks that the answer is a problem of this status, and returns it.
func (r reply) problem(t *testing.T, status int) job.Problem {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %.500s", r.status, status, r.body)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("a problem of type %q: %.300s", ct, r.body)
	}
	var p job.Problem
	r.json(t, &p)
	if p.Status != status || p.Title == "" || p.Detail == "" || !p.FromStint() {
		t.Fatalf("incomplete problem: %s", r.body)
	}
	return p
}

func (r reply) ok(t *testing.T, v any) {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %.500s", r.status, r.body)
	}
	if v != nil {
		r.json(t, v)
	}
}

// do sends a request; headers are name, value, name, value.
func (l *live) do(method, path string, body []byte, headers ...string) reply {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

func (l *live) get(path string, headers ...string) reply {
	l.t.Helper()
	return l.do("GET", path, nil, headers...)
}

func (l *live) run(ref string) job.Run {
	l.t.Helper()
	var run job.Run
	l.get("/api/v1/runs/"+ref).ok(l.t, &run)
	return run
}

// sketch writes a journal for tests.
type sketch struct {
	t   *testing.T
	id  string
	buf bytes.Buffer
	w   *journal.Writer
	at  time.Time
}

func newSketch(t *testing.T, name string, labels map[string]string) *sketch {
	t.Helper()
	return newAttempt(t, uuid.Must(uuid.NewV7()).String(), 1, name, labels)
}

func newAttempt(t *testing.T, id string, attempt int, name string, labels map[string]string) *sketch {
	t.Helper()
	s := &sketch{t: t, id: id, at: time.Now().UTC()}
	w, err := journal.NewWriter(&s.buf)
	if err != nil {
		t.Fatal(err)
	}
	s.w = w
	s.add(journal.TypeAttempt, journal.Attempt{
		Run: id, Attempt: attempt, Job: name, Args: []string{"sh", "-c", "true"}, Host: "h",
		AgentVersion: "test", Labels: labels, HeartbeatPeriodMS: 1000,
	})
	return s
}

func (s *sketch) add(typ journal.Type, v any) *sketch {
	s.t.Helper()
	s.at = s.at.Add(time.Millisecond)
	if err := s.w.AppendJSON(typ, s.at, v); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *sketch) command() *sketch {
	s.t.Helper()
	return s.add(journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "sh", PID: 7})
}

func (s *sketch) output(text string) *sketch {
	s.t.Helper()
	if err := s.w.Append(journal.OutputRecord(s.at, journal.Output{Stream: job.Stdout, Data: []byte(text)})); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *sketch) finish(code int) *sketch {
	s.t.Helper()
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
	s.add(journal.TypeStepEnded, journal.StepEnded{Outcome: o})
	if err := s.w.Finish(s.at, journal.Final{Outcome: o}); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *sketch) bytes() []byte { return s.buf.Bytes() }
