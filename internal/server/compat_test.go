package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// tiny is a client that knows only the two calls of the compat wire.
type tiny struct {
	*live
	job string
}

func (c tiny) status(status string) string {
	c.t.Helper()
	return c.put("/status", `{"status":"`+status+`"}`)
}

func (c tiny) beat() string {
	c.t.Helper()
	return c.put("/heartbeat", "")
}

func (c tiny) put(path, body string) string {
	c.t.Helper()
	var reply struct{ Run string }
	c.do("PUT", "/compat/"+c.job+path, []byte(body)).ok(c.t, &reply)
	if reply.Run == "" {
		c.t.Fatal("the answer names no run")
	}
	return reply.Run
}

func (c tiny) runs() []job.Run {
	c.t.Helper()
	var page struct{ Runs []job.Run }
	c.get("/api/v1/runs?job="+c.job).ok(c.t, &page)
	return page.Runs
}

func wantRun(t *testing.T, run job.Run, state job.State, complete bool) {
	t.Helper()
	if run.State != state || run.Output.Complete != complete {
		t.Errorf("run %d is %s, complete %t; want %s, %t; outcome %+v", run.Number, run.State, run.Output.Complete, state, complete, run.Outcome)
	}
}

func TestCompatWireMakesARealRun(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	tests := []struct {
		word  string
		state job.State
		code  *int
	}{
		{"completed", job.Succeeded, new(int)},
		{"failed", job.Failed, nil},
	}
	for _, tt := range tests {
		t.Run(tt.word, func(t *testing.T) {
			l.t = t
			client := tiny{l, "backup-" + tt.word}
			began := c.now()
			id := client.status("started")
			run := l.run(id)
			wantRun(t, run, job.Running, false)
			if run.Host != "127.0.0.1" || run.Labels["wire"] != "compat" || run.Number != 1 || len(run.Steps) != 1 {
				t.Errorf("run after started: %+v", run)
			}
			c.add(20 * time.Second)
			if got := client.beat(); got != id {
				t.Errorf("the heartbeat went to run %s, want %s", got, id)
			}
			c.add(20 * time.Second)
			if got := client.status(tt.word); got != id {
				t.Errorf("the end went to run %s, want %s", got, id)
			}
			run = l.run(id)
			wantRun(t, run, tt.state, true)
			if run.StartedAt == nil || !run.StartedAt.Equal(began) || run.EndedAt == nil || run.EndedAt.Sub(began) != 40*time.Second {
				t.Errorf("times %v to %v, want %v and 40 s later", run.StartedAt, run.EndedAt, began)
			}
			if (run.Outcome.ExitCode == nil) != (tt.code == nil) {
				t.Errorf("exit code %v, want %v", run.Outcome.ExitCode, tt.code)
			}
			// Repeats and a late heartbeat change nothing.
			c.add(5 * time.Second)
			for _, got := range []string{client.status(tt.word), client.beat(), client.status(tt.word)} {
				if got != id {
					t.Errorf("a repeat went to run %s, want %s", got, id)
				}
			}
			if n := len(client.runs()); n != 1 {
				t.Errorf("%d runs after repeats, want 1", n)
			}
		})
	}
}

func TestCompatWireEdges(t *testing.T) {
	type step struct {
		after time.Duration
		say   string // a status, "beat", or "silence": the server calls the run lost
		run   int64  // the number of the run it belongs to
	}
	tests := []struct {
		name   string
		steps  []step
		states []job.State // of runs 1, 2, … at the end
	}{
		{
			"a second start ends the former",
			[]step{{0, "started", 1}, {time.Hour, "started", 2}, {time.Minute, "completed", 2}},
			[]job.State{job.Lost, job.Succeeded},
		},
		{
			"an early heartbeat is adopted",
			[]step{{0, "beat", 1}, {time.Second, "started", 1}, {time.Minute, "completed", 1}},
			[]job.State{job.Succeeded},
		},
		{
			"a heartbeat long before the start is another run",
			[]step{{0, "beat", 1}, {time.Minute, "started", 2}},
			[]job.State{job.Lost, job.Running},
		},
		{"a heartbeat makes a run", []step{{0, "beat", 1}, {30 * time.Second, "beat", 1}}, []job.State{job.Running}},
		{
			"a heartbeat long after the end makes a run",
			[]step{{0, "started", 1}, {0, "completed", 1}, {time.Minute, "beat", 2}},
			[]job.State{job.Succeeded, job.Running},
		},
		{"an end without a start", []step{{0, "failed", 1}}, []job.State{job.Failed}},
		{
			"ends without starts, every hour",
			[]step{{0, "completed", 1}, {time.Second, "completed", 1}, {time.Hour, "completed", 2}},
			[]job.State{job.Succeeded, job.Succeeded},
		},
		{
			"another end right after the end is another run",
			[]step{{0, "completed", 1}, {time.Second, "failed", 2}},
			[]job.State{job.Succeeded, job.Failed},
		},
		{
			"start right after the end",
			[]step{{0, "started", 1}, {0, "completed", 1}, {time.Second, "started", 2}},
			[]job.State{job.Succeeded, job.Running},
		},
		{
			"heartbeats after it was called lost",
			[]step{{0, "started", 1}, {time.Second, "beat", 1}, {2 * time.Hour, "silence", 1}, {3 * time.Minute, "beat", 1}, {5 * time.Minute, "beat", 1}, {5 * time.Minute, "completed", 1}},
			[]job.State{job.Succeeded},
		},
		{
			"the end after it was called lost",
			[]step{{0, "started", 1}, {25 * time.Hour, "silence", 1}, {time.Hour, "failed", 1}, {time.Second, "failed", 1}},
			[]job.State{job.Failed},
		},
		{
			"a start after it was called lost",
			[]step{{0, "started", 1}, {25 * time.Hour, "silence", 1}, {time.Hour, "started", 2}, {time.Second, "silence", 2}, {time.Hour, "beat", 2}},
			[]job.State{job.Lost, job.Running},
		},
		{
			"heartbeats and the end of the next day, after it was called lost",
			[]step{
				{0, "beat", 1},
				{30 * time.Second, "beat", 1},
				{2 * time.Minute, "silence", 1},
				{23 * time.Hour, "beat", 2},
				{30 * time.Second, "beat", 2},
				{time.Minute, "completed", 2},
			},
			[]job.State{job.Lost, job.Succeeded},
		},
		{
			"the end of the next day, after it was called lost",
			[]step{{0, "beat", 1}, {2 * time.Hour, "silence", 1}, {22 * time.Hour, "completed", 2}, {time.Second, "completed", 2}},
			[]job.State{job.Lost, job.Succeeded},
		},
		{
			"the next day, while no server was there to call it lost",
			[]step{{0, "beat", 1}, {23 * time.Hour, "failed", 2}},
			[]job.State{job.Lost, job.Failed},
		},
		{
			"as late as calls go on with a run that a heartbeat began",
			[]step{{0, "beat", 1}, {2 * time.Hour, "silence", 1}, {time.Hour, "beat", 1}, {3*time.Hour + time.Second, "beat", 2}},
			[]job.State{job.Lost, job.Running},
		},
		{
			"as late as calls go on with a run that reported its start",
			[]step{{0, "started", 1}, {25 * time.Hour, "silence", 1}, {143 * time.Hour, "beat", 1}, {7*24*time.Hour + time.Second, "completed", 2}},
			[]job.State{job.Lost, job.Succeeded},
		},
		{
			"a heartbeat that was called lost is adopted no more",
			[]step{{0, "beat", 1}, {2 * time.Minute, "silence", 1}, {time.Second, "started", 2}},
			[]job.State{job.Lost, job.Running},
		},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			st := openStore(t, t.TempDir())
			l := start(t, server.Config{Now: c.now, Store: st})
			for n, s := range tt.steps {
				c.add(s.after)
				client := tiny{l, fmt.Sprintf("job-%d", i)}
				var id string
				switch s.say {
				case "silence":
					id = callLost(t, st, client.runs()[0], c.now())
				case "beat":
					id = client.beat()
				default:
					id = client.status(s.say)
				}
				if got := l.run(id).Number; got != s.run {
					t.Errorf("step %d, %s: belongs to run %d, want %d", n+1, s.say, got, s.run)
				}
				// A server that starts in the middle knows as much.
				l.stop()
				l = start(t, server.Config{Now: c.now, Store: st})
			}
			runs := tiny{l, fmt.Sprintf("job-%d", i)}.runs()
			if len(runs) != len(tt.states) {
				t.Fatalf("%d runs, want %d", len(runs), len(tt.states))
			}
			for _, run := range runs {
				want := tt.states[run.Number-1]
				wantRun(t, run, want, want.Terminal())
				if want == job.Lost && !strings.Contains(run.Outcome.Message, "began before this one reported its end") {
					t.Errorf("the former run's end does not explain itself: %q", run.Outcome.Message)
				}
			}
		})
	}
}

// A run is trusted for three periods of its client, and longer while the period is unknown: nobody is
// called lost who beats every 5 minutes, whenever the first heartbeat comes.
func TestCompatWireLeases(t *testing.T) {
	type step struct {
		after time.Duration
		say   string
		lease time.Duration
	}
	c := newClock()
	st := openStore(t, t.TempDir())
	l := start(t, server.Config{Now: c.now, Store: st})
	for name, steps := range map[string][]step{
		"a-first-heartbeat-at-once": {
			{0, "started", 24 * time.Hour}, {time.Second, "beat", time.Hour}, {5 * time.Minute, "beat", 15 * time.Minute}, {5 * time.Minute, "beat", 15 * time.Minute},
		},
		"a-first-heartbeat-after-a-period": {
			{0, "started", 24 * time.Hour}, {10 * time.Second, "beat", time.Hour}, {10 * time.Second, "beat", 90 * time.Second},
		},
		"no-start": {
			{0, "beat", time.Hour}, {5 * time.Minute, "beat", 15 * time.Minute}, {10 * time.Second, "beat", 90 * time.Second}, {40 * time.Minute, "beat", time.Hour},
		},
		"a-start-behind-the-first-heartbeat": {
			{0, "beat", time.Hour}, {time.Second, "started", time.Hour}, {5 * time.Minute, "beat", 15*time.Minute + 3*time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := tiny{l, name}
			for n, s := range steps {
				c.add(s.after)
				var id string
				if s.say == "beat" {
					id = client.beat()
				} else {
					id = client.status(s.say)
				}
				leases, err := st.Leases(t.Context(), []string{id})
				if err != nil || len(leases) != 1 || leases[0].Length != s.lease {
					t.Errorf("step %d, %s: lease %+v, %v, want %s", n+1, s.say, leases, err, s.lease)
				}
			}
			if runs := client.runs(); len(runs) != 1 {
				t.Errorf("%d runs, want 1", len(runs))
			}
		})
	}
}

// The calls of one client that overtake each other on two servers of one database make one run.
func TestCompatWireOnTwoServers(t *testing.T) {
	url := postgrestest.URL(t)
	c := newClock()
	var servers []*live
	for range 2 {
		st, err := store.Open(t.Context(), store.Options{URL: url, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		servers = append(servers, start(t, server.Config{Now: c.now, Store: st}))
	}
	for i := range 15 {
		name := fmt.Sprintf("backup-%d", i)
		for _, calls := range [][2]func(tiny) string{
			{func(c tiny) string { return c.status("started") }, tiny.beat},
			{func(c tiny) string { return c.status("completed") }, func(c tiny) string { return c.status("completed") }},
		} {
			var both sync.WaitGroup
			var ids [2]string
			for n, call := range calls {
				both.Go(func() { ids[n] = call(tiny{servers[n], name}) })
			}
			both.Wait()
			if ids[0] != ids[1] {
				t.Errorf("%s: two runs of one: %v", name, ids)
			}
		}
		if runs := (tiny{servers[0], name}).runs(); len(runs) != 1 || runs[0].State != job.Succeeded {
			t.Errorf("%s: %+v", name, runs)
		}
	}
}

// callLost stores the verdict that a run's agent is gone.
func callLost(t *testing.T, st *store.Store, run job.Run, now time.Time) string {
	t.Helper()
	leases, err := st.Leases(t.Context(), []string{run.ID})
	if err != nil || len(leases) != 1 {
		t.Fatalf("leases of run %s: %+v, %v", run.ID, leases, err)
	}
	judged, err := st.Judge(t.Context(), []lease.Verdict{{
		Run: run.ID, Attempt: 1, ReportedAt: leases[0].ReportedAt, At: now, Lost: true, Evidence: "No heartbeat.",
	}})
	if err != nil || len(judged) != 1 || judged[0].Run.State != job.Lost {
		t.Fatalf("verdict on run %s: %+v, %v", run.ID, judged, err)
	}
	return run.ID
}

// A run with the wire's label that an ordinary agent made is not the wire's.
func TestCompatWireLeavesOtherRunsAlone(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "mixed", map[string]string{"wire": "compat"}).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	if id := (tiny{l, "mixed"}).status("completed"); id == s.id {
		t.Error("the wire ended an agent's run")
	}
	wantRun(t, l.run(s.id), job.Running, false)
}

func TestCompatWireRefuses(t *testing.T) {
	l := start(t, server.Config{})
	tests := []struct {
		name, path, body string
		status           int
	}{
		{"not JSON", "/compat/j/status", "started", 400},
		{"empty", "/compat/j/status", "", 400},
		{"a list", "/compat/j/status", `["started"]`, 400},
		{"a number", "/compat/j/status", `{"status":3}`, 400},
		{"unknown status", "/compat/j/status", `{"status":"paused"}`, 400},
		{"heartbeat is no status", "/compat/j/status", `{"status":"heartbeat"}`, 400},
		{"too large", "/compat/j/status", `{"status":"` + strings.Repeat("x", 100<<10) + `"}`, 413},
		{"control character in the name", "/compat/a%01b/status", `{"status":"started"}`, 400},
		{"slash in the name", "/compat/a%2Fb/status", `{"status":"started"}`, 400},
		{"long name", "/compat/" + strings.Repeat("n", 300) + "/heartbeat", "", 400},
		{"unknown call", "/compat/j/stop", "", 404},
		{"no job", "/compat//status", `{"status":"started"}`, 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			if tt.name == "no job" {
				// ServeMux cleans the path by a redirect, which leads nowhere.
				if r := l.do("PUT", tt.path, []byte(tt.body)); r.status < 400 {
					t.Errorf("status %d", r.status)
				}
				return
			}
			l.do("PUT", tt.path, []byte(tt.body)).problem(t, tt.status)
		})
	}
	l.t = t
	if p := l.do("POST", "/compat/j/status", nil).problem(t, http.StatusMethodNotAllowed); !strings.Contains(p.Detail, "PUT") {
		t.Errorf("the answer does not name the method to use: %s", p.Detail)
	}
	var page struct{ Runs []job.Run }
	l.get("/api/v1/runs").ok(t, &page)
	if len(page.Runs) != 0 {
		t.Errorf("refused calls left %d runs", len(page.Runs))
	}
}
