package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// The whole way of a killed agent: its heartbeat connection closes, the monitor finds it
// quiet at once and lost soon after, followers see both, and the next beat heals it.
func TestAKilledAgentIsSeenLiveAndHeals(t *testing.T) {
	st := openStore(t, t.TempDir())
	var l *live
	monitor := health.New(health.Config{Store: st, Changed: func(j lease.VerdictResult) { l.srv.Notify(j.Run.ID) }})
	l = start(t, server.Config{Store: st, Connections: monitor})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { monitor.Run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()

	s := newSketch(t, "killed", nil).command()
	agent := l.heart(s.id)
	agent.post("/api/v1/runs/"+s.id+"/attempts/1/journal?offset=0", s.bytes())
	f := l.follow(streamOf(s), "")
	agent.beat()
	agent.kill()

	run := f.runThat(func(run job.Run) bool { return len(run.Findings) > 0 })
	if run.State != job.Running || run.Health != job.Warning || run.Findings[0].Rule != policy.Quiet ||
		!strings.Contains(run.Findings[0].Evidence, "connection closed") || run.Findings[0].NextAt == nil {
		t.Fatalf("a killed agent makes %s %s %+v", run.State, run.Health, run.Findings)
	}
	run = f.runThat(func(run job.Run) bool { return run.State == job.Lost })
	if run.Outcome == nil || run.Outcome.Reason != job.AgentLost || !run.Outcome.Disconnected {
		t.Fatalf("lost with outcome %+v", run.Outcome)
	}
	f.want("end")

	l.heart(s.id).beat()
	if run := l.run(s.id); run.State != job.Running || run.Health != job.Healthy {
		t.Fatalf("after a further heartbeat, the run is %s %s", run.State, run.Health)
	}
}

// runThat reads up to a snapshot of the run that fits.
func (f *follow) runThat(fits func(job.Run) bool) job.Run {
	f.t.Helper()
	for {
		var run job.Run
		if err := json.Unmarshal(f.want("run").data, &run); err != nil {
			f.t.Fatal(err)
		}
		if fits(run) {
			return run
		}
	}
}

// heart sends heartbeats on one connection of its own.
type heart struct {
	l      *live
	path   string
	client *http.Client
	conn   net.Conn
}

func (l *live) heart(id string) *heart {
	h := &heart{l: l, path: "/api/v1/runs/" + id + "/attempts/1/heartbeat"}
	h.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			h.conn = conn
			return conn, err
		},
	}}
	l.t.Cleanup(h.client.CloseIdleConnections)
	return h
}

func (h *heart) beat() { h.post(h.path, []byte(`{"sequence":1,"period_ms":1000}`)) }

// post sends a request on the agent's connection.
func (h *heart) post(path string, body []byte) {
	h.l.t.Helper()
	resp, err := h.client.Post(h.l.url+path, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		h.l.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		h.l.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}
}

// kill closes the connection, as the kernel does for an agent that was killed.
func (h *heart) kill() { _ = h.conn.Close() }
