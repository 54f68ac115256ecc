package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func beatPath(id string, attempt int) string {
	return fmt.Sprintf("/api/v1/runs/%s/attempts/%d/heartbeat", id, attempt)
}

func (l *live) beat(id string, attempt int, hb job.Heartbeat) job.HeartbeatReply {
	l.t.Helper()
	body, err := json.Marshal(hb)
	if err != nil {
		l.t.Fatal(err)
	}
	var reply job.HeartbeatReply
	l.do("POST", beatPath(id, attempt), body).ok(l.t, &reply)
	return reply
}

func TestHeartbeat(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	s := newSketch(t, "j", nil).command()
	hb := job.Heartbeat{Sequence: 1, SentAt: c.now(), PeriodMS: 4000}
	want := job.HeartbeatReply{Run: s.id, Attempt: 1, Server: l.store.Installation(), LeaseMS: 19_000, NextMS: 4000, Owner: true, Commands: []job.Command{}}

	// The first beat may overtake the first append.
	if diff := cmp.Diff(want, l.beat(s.id, 1, hb)); diff != "" {
		t.Errorf("before the first append (-want +got):\n%s", diff)
	}
	l.get("/api/v1/runs/"+s.id).problem(t, http.StatusNotFound)

	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	c.add(time.Second)
	if diff := cmp.Diff(want, l.beat(s.id, 1, hb)); diff != "" {
		t.Errorf("while it runs (-want +got):\n%s", diff)
	}
	if run := l.run(s.id); run.LastHeartbeatAt == nil || !run.LastHeartbeatAt.Equal(c.now()) {
		t.Errorf("last heartbeat at %v, want %v", run.LastHeartbeatAt, c.now())
	}

	// A cancel is repeated until the journal shows the end.
	l.do("POST", "/api/v1/runs/"+s.id+"/cancel", []byte(`{"by":"ada","why":"wrong data"}`), "Content-Type", "application/json").ok(t, nil)
	canceled := want
	canceled.Commands = []job.Command{{Kind: "cancel", By: "ada", Why: "wrong data"}}
	for range 2 {
		if diff := cmp.Diff(canceled, l.beat(s.id, 1, hb)); diff != "" {
			t.Errorf("after cancel (-want +got):\n%s", diff)
		}
	}
	at := int64(len(s.bytes()))
	s.finish(0)
	l.do("POST", journalPath(s.id, 1, at), s.bytes()[at:]).ok(t, nil)
	if diff := cmp.Diff(want, l.beat(s.id, 1, hb)); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
}

// An attempt that was thought lost, and that a newer one took over, gets that in the reply.
func TestHeartbeatOfASupersededAttempt(t *testing.T) {
	l := start(t, server.Config{})
	first := newSketch(t, "j", nil)
	l.do("POST", journalPath(first.id, 1, 0), first.bytes()).ok(t, nil)
	due, err := l.store.Due(t.Context(), time.Now().Add(time.Hour), 1)
	if err != nil || len(due) != 1 {
		t.Fatalf("due: %v, %v", due, err)
	}
	if _, err := l.store.Judge(t.Context(), []lease.Verdict{{Run: first.id, Attempt: 1, ReportedAt: due[0].ReportedAt, At: time.Now(), Lost: true}}); err != nil {
		t.Fatal(err)
	}
	second := newAttempt(t, first.id, 2, "j", nil).command()
	l.do("POST", journalPath(first.id, 2, 0), second.bytes()).ok(t, nil)
	if reply := l.beat(first.id, 1, job.Heartbeat{Sequence: 2}); reply.Owner {
		t.Error("the reply to attempt 1 has it own the run")
	}
	if reply := l.beat(first.id, 2, job.Heartbeat{Sequence: 1}); !reply.Owner {
		t.Error("the reply to attempt 2 does not have it own the run")
	}
	if run := l.run(first.id); run.Attempt != 2 || run.State != job.Running {
		t.Errorf("attempt %d is %s, want 2 running", run.Attempt, run.State)
	}
}

func TestHeartbeatsThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	id := uuid.Must(uuid.NewV7()).String()
	tests := []struct {
		name, path, body string
		status           int
	}{
		{"not JSON", beatPath(id, 1), "beat", 400},
		{"empty", beatPath(id, 1), "", 400},
		{"wrong type", beatPath(id, 1), `{"sequence":"one"}`, 400},
		{"number too large", beatPath(id, 1), `{"cpu_seconds":1e999}`, 400},
		{"two values", beatPath(id, 1), `{}{}`, 400},
		{"too large", beatPath(id, 1), `{"x":"` + strings.Repeat("x", 70<<10) + `"}`, 413},
		{"not a run", beatPath("x", 1), `{}`, 400},
		{"attempt 0", beatPath(id, 0), `{}`, 400},
		{"unknown parameter", beatPath(id, 1) + "?a=1", `{}`, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			l.do("POST", tt.path, []byte(tt.body)).problem(t, tt.status)
		})
	}
}

// A newer agent may say more than this server knows, and nonsense harms nobody.
func TestHeartbeatsThatAreTaken(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	for _, body := range []string{`{}`, `{"mood":"good"}`, `{"sequence":-9,"period_ms":-1,"memory_bytes":-5,"cpu_seconds":-1,"processes":-2}`, `{"period_ms":9223372036854775807}`} {
		l.do("POST", beatPath(s.id, 1), []byte(body)).ok(t, nil)
	}
	if run := l.run(s.id); run.Usage.MemoryBytes < 0 || run.Usage.CPUSeconds < 0 || run.Usage.Processes < 0 {
		t.Errorf("usage: %+v", run.Usage)
	}
}

// observer is a ConnectionObserver that passes on which agents were seen to go.
type observer chan lease.Disconnect

func (o observer) Disconnected(d lease.Disconnect) { o <- d }

func (o observer) Returned(string, int) {}

// agentOn is an agent with one connection of its own, which its requests name: it sends a
// journal and heartbeats; headers are name, value, name, value.
func (l *live) agentOn(tr *http.Transport, s *sketch, beats int, headers ...string) {
	l.t.Helper()
	client := &http.Client{Transport: tr}
	post := func(path, body string) {
		l.t.Helper()
		req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.url+path, strings.NewReader(body))
		if err != nil {
			l.t.Fatal(err)
		}
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			req.Header.Set(job.HeaderLocalAddress, c.Conn.LocalAddr().String())
		}}
		resp, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		if err != nil {
			l.t.Fatal(err)
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			l.t.Fatalf("%s: %d %s %v", path, resp.StatusCode, text, err)
		}
	}
	post(journalPath(s.id, 1, 0), string(s.bytes()))
	for range beats {
		post(beatPath(s.id, 1), `{"period_ms":5000}`)
	}
}

// What closes the connection on which an agent beats is evidence, and distinguished. A run that
// has ended, and the server's own shutdown, are none.
func TestAgentsWhoseConnectionCloses(t *testing.T) {
	gone := make(observer, 10)
	l := start(t, server.Config{Connections: gone})
	agent := func(beats int) (*sketch, *http.Transport) {
		s := newSketch(t, "j", nil).command()
		tr := &http.Transport{MaxIdleConnsPerHost: 1}
		l.agentOn(tr, s, beats)
		return s, tr
	}
	s, done := agent(3)
	at := int64(len(s.bytes()))
	s.finish(0)
	l.do("POST", journalPath(s.id, 1, at), s.bytes()[at:]).ok(t, nil)
	done.CloseIdleConnections()
	for _, beats := range []int{0, 1, 3} {
		killed, tr := agent(beats)
		tr.CloseIdleConnections()
		select {
		case d := <-gone:
			if d.Run != killed.id || d.Attempt != 1 || !d.Peer || d.Indirect || !d.Due.IsZero() {
				t.Errorf("after %d beats: %+v, want %s", beats, d, killed.id)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nobody was notified that the connection closed")
		}
	}
	_, running := agent(3)
	l.stop()
	running.CloseIdleConnections()
	select {
	case d := <-gone:
		t.Errorf("notified of %+v without reason", d)
	default:
	}
}

// A request of somebody who may not write to a run delays no verdict on its
// agent, however long the connection of the request stays open: neither that the connection of
// its heartbeats closed, nor that the agent returned.
func TestRefusedRequestsDoNotCountForAnAgent(t *testing.T) {
	c, gone := newClock(), make(observer, 10)
	l := start(t, server.Config{RequireToken: true, Now: c.now, Connections: gone})
	token := func() string { return "Bearer " + l.mint(access.Agent, time.Time{}, c.now()) }
	mine, other := token(), token()
	for name, try := range map[string]struct{ path, token, body string }{
		"heartbeat of another token":                   {"/heartbeat", other, `{"period_ms":5000}`},
		"heartbeat with a parameter that is not known": {"/heartbeat?x=1", mine, `{"period_ms":5000}`},
		"append of another token":                      {"/journal?offset=0", other, "x"},
		"append without an offset":                     {"/journal", mine, "x"},
		"read back of another token":                   {"/journal/rest?offset=0", other, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, tr := newSketch(t, "j", nil).command(), &http.Transport{MaxIdleConnsPerHost: 1}
			l.agentOn(tr, s, 1, "Authorization", mine)
			foreign := &http.Transport{MaxIdleConnsPerHost: 1}
			defer foreign.CloseIdleConnections()
			method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[try.body == ""]
			req, err := http.NewRequestWithContext(t.Context(), method, l.url+"/api/v1/runs/"+s.id+"/attempts/1"+try.path, strings.NewReader(try.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", try.token)
			resp, err := (&http.Client{Transport: foreign}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Fatalf("the request was answered %d, %v", resp.StatusCode, err)
			}
			resp.Body.Close()
			tr.CloseIdleConnections()
			select {
			case d := <-gone:
				if d.Run != s.id {
					t.Errorf("%+v, want run %s", d, s.id)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the end of the agent's connection was not reported")
			}
		})
	}
}

func TestSuspendedOverHTTP(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	l.send(s)
	beat := func(more string) (reply job.HeartbeatReply) {
		t.Helper()
		body := fmt.Sprintf(`{"sequence":1,"uptime_ms":60000,"output_age_ms":-1,"processes":1,"period_ms":1000%s}`, more)
		l.do("POST", beatPath(s.id, 1), []byte(body)).ok(t, &reply)
		return reply
	}
	beat("")
	if reply := beat(`,"suspended":true`); reply.LeaseMS != 24*3600*1000 || reply.NextMS != 1000 {
		t.Errorf("reply to the last heartbeat before it stops: %+v", reply)
	}
	run := l.run(s.id)
	if run.SuspendedAt == nil || run.State != job.Running || run.Health != job.Healthy {
		t.Errorf("suspended, the run is %s %s, suspended at %v", run.State, run.Health, run.SuspendedAt)
	}
	var e api.Explanation
	l.get("/api/v1/runs/"+s.id+"/explain").ok(t, &e)
	for _, r := range e.Rules {
		rests := r.Rule == "quiet" || r.Rule == "stalled" || r.Rule == "no_output"
		if r.Fires || rests != strings.Contains(r.Sentence, "this rule does not apply") {
			t.Errorf("explained while suspended: %+v", r)
		}
	}
	if reply := beat(""); reply.LeaseMS != 16_000 {
		t.Errorf("reply to the next heartbeat: %+v", reply)
	}
	if run := l.run(s.id); run.SuspendedAt != nil {
		t.Errorf("resumed, the run is suspended at %s", run.SuspendedAt)
	}
	var history struct{ Events []job.RunEvent }
	l.get("/api/v1/runs/"+s.id+"/events").ok(t, &history)
	var kinds []string
	for _, e := range history.Events {
		kinds = append(kinds, e.Kind)
	}
	if got := strings.Join(kinds, " "); !strings.HasSuffix(got, "state suspended resumed") {
		t.Errorf("events %s", got)
	}
}
