package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// agents is how many agents the tests of a fleet simulate; a quarter of them dies.
var (
	agents  = flag.Int("fleet-agents", 60, "simulated agents in the tests of a fleet; 200 is full size")
	cutTime = flag.Duration("fleet-cut", 75*time.Second, "how long all agents are cut off; 2m is full size, less than 70s shows nothing")
)

// simulated is an agent without a job: it creates its run and beats once a second on a
// connection of its own, until it is killed.
type simulated struct {
	id    string
	api   *client.Client
	stop  context.CancelFunc
	over  chan struct{}
	beats atomic.Int64
}

func simulate(t *testing.T, server, name string) *simulated {
	t.Helper()
	api, err := client.New(client.Options{URL: server})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &simulated{id: uuid.Must(uuid.NewV7()).String(), api: api, stop: stop, over: make(chan struct{})}
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	id := journal.Attempt{Run: a.id, Attempt: 1, Job: name, Args: []string{"x"}, Host: "h", AgentVersion: "test", HeartbeatPeriodMS: 1000}
	err = errors.Join(
		w.AppendJSON(journal.TypeAttempt, time.Now(), id),
		w.AppendJSON(journal.TypeStepStarted, time.Now(), journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1}),
	)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	go func() {
		defer close(a.over)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		made := false
		for n := int64(1); ; n++ {
			if !made {
				_, err := api.Append(ctx, a.id, 1, 0, buf.Bytes())
				made = err == nil
			}
			hb := job.Heartbeat{Sequence: n, SentAt: time.Now(), UptimeMS: time.Since(begun).Milliseconds(), Processes: 1, MemoryBytes: 1 << 20, PeriodMS: 1000}
			if _, err := api.Beat(ctx, a.id, 1, hb); err == nil {
				a.beats.Add(1)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(a.kill)
	return a
}

// kill ends the agent as SIGKILL would: its connections close, and nothing else is sent.
func (a *simulated) kill() {
	a.stop()
	<-a.over
	a.api.Close()
}

// fleet begins the simulated agents, and two real ones.
func fleet(t *testing.T, s *server, through string) (all []*simulated, real []string) {
	t.Helper()
	for range *agents {
		all = append(all, simulate(t, through, "fleet"))
	}
	for i := range 2 {
		begin(t, through, "real", "--", "sh", "-c", "i=0; while [ $i -lt 100000 ]; do echo $i; i=$((i+1)); sleep 0.05; done")
		real = append(real, fmt.Sprintf("real#%d", i+1))
	}
	eventually(t, "everybody beats", func() bool {
		for _, a := range all {
			if a.beats.Load() < 3 {
				return false
			}
		}
		for _, ref := range real {
			if r, ok := s.find(ref); !ok || r.LastHeartbeatAt == nil {
				return false
			}
		}
		return true
	})
	return all, real
}

// states counts the runs of the fleet by state.
func (s *server) states() map[job.State]int {
	s.t.Helper()
	found := map[job.State]int{}
	cursor := ""
	for {
		var page client.RunsPage
		if err := json.Unmarshal(s.get("/api/v1/runs?limit=500&cursor="+cursor), &page); err != nil {
			s.t.Fatal(err)
		}
		for _, r := range page.Runs {
			found[r.State]++
		}
		if page.NextCursor == nil {
			return found
		}
		cursor = *page.NextCursor
	}
}

// notified counts the notifications, by event.
func (s *server) notified() map[string]int {
	s.t.Helper()
	var list struct {
		Actions []struct {
			Kind, What string
		} `json:"actions"`
	}
	if err := json.Unmarshal(s.get("/api/v1/actions?limit=500"), &list); err != nil {
		s.t.Fatal(err)
	}
	found := map[string]int{}
	for _, a := range list.Actions {
		if a.Kind == "notify" {
			found[a.What]++
		}
	}
	return found
}

// A quarter of the agents is killed, and only those are called lost, soon. Then the server
// is restarted under the others, and nobody is notified of it.
func TestKilledAgentsAndARestart(t *testing.T) {
	s := startServer(t)
	all, real := fleet(t, s, s.url)
	dying := *agents / 4
	begun := time.Now()
	var wait sync.WaitGroup
	for _, a := range all[:dying] {
		wait.Go(a.kill)
	}
	wait.Wait()
	eventually(t, "the killed are lost", func() bool { return s.states()[job.Lost] == dying })
	took := time.Since(begun)
	t.Logf("%d of %d lost after %s", dying, len(all)+len(real), took)
	if took > 5*time.Second {
		t.Errorf("it took %s until all of them were called lost", took)
	}
	if got := s.notified(); got["lost"] != dying || got["network"] != 0 {
		t.Errorf("notified %v", got)
	}

	s.kill()
	s.start()
	before := make([]int64, len(all))
	for i, a := range all {
		before[i] = a.beats.Load()
	}
	eventually(t, "the others beat again", func() bool {
		for i, a := range all[dying:] {
			if a.beats.Load() < before[dying+i]+5 {
				return false
			}
		}
		return true
	})
	if got := s.states(); got[job.Lost] != dying || got[job.Running] != len(all)-dying+len(real) {
		t.Errorf("after the restart: %v", got)
	}
	if got := s.notified(); got["lost"] != dying || len(got) != 1 {
		t.Errorf("notified after the restart: %v", got)
	}
}

// wire is a network that can be cut: connections stay open and nothing passes.
type wire struct {
	listener net.Listener
	cut      atomic.Bool
	mu       sync.Mutex
	open     []net.Conn
	busy     sync.WaitGroup
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l}
	w.busy.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close() // nobody is there
				continue
			}
			w.mu.Lock()
			w.open = append(w.open, near, far)
			w.mu.Unlock()
			w.busy.Go(func() { w.carry(near, far) })
			w.busy.Go(func() { w.carry(far, near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it ends the loop above
		w.mu.Lock()
		for _, c := range w.open {
			_ = c.Close() // and these the copies
		}
		w.mu.Unlock()
		w.busy.Wait()
	})
	return w
}

// carry copies; what comes while the wire is cut is lost, and so the connection is useless
// afterwards.
func (w *wire) carry(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	useless := false
	for {
		n, err := from.Read(buf)
		useless = useless || w.cut.Load()
		if n > 0 && !useless {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil || useless && !w.cut.Load() {
			_, _ = from.Close(), to.Close() // closed is all they must be
			return
		}
	}
}

// repair lets new connections pass, and resets the old ones, as networks do.
func (w *wire) repair() {
	w.cut.Store(false)
	w.reset()
}

// drop closes all connections, and lets no other pass until repair.
func (w *wire) drop() {
	w.cut.Store(true)
	w.reset()
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close() // its agent connects again
	}
	w.open = nil
}

// All agents are cut off for longer than their leases: that is one notice, nobody is
// called lost, heartbeats of all arrive again, and their logs are whole.
func TestAPartitionIsOneNotice(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	all, real := fleet(t, s, "http://"+w.listener.Addr().String())
	// The server trusts everybody for a while after its start; the cut must last longer.
	patient := time.Now().Add(*cutTime)
	w.cut.Store(true)
	eventuallyLong(t, "the network is called the cause", func() bool { return s.notified()["network"] == 1 })
	for until := time.NewTimer(time.Until(patient)); ; {
		select {
		case <-time.After(2 * time.Second):
			if got := s.states()[job.Lost]; got != 0 {
				t.Fatalf("%d were called lost", got)
			}
			continue
		case <-until.C:
		}
		break
	}
	before := all[0].beats.Load()
	w.repair()
	eventually(t, "heartbeats of all arrive again", func() bool {
		for _, a := range all {
			if a.beats.Load() < before+3 {
				return false
			}
		}
		return true
	})
	eventually(t, "the end of it is notified", func() bool { return s.notified()["recovered"] == 1 })
	if got := s.notified(); got["network"] != 1 || got["lost"] != 0 || len(got) != 2 {
		t.Errorf("notified %v", got)
	}
	if got := s.states(); got[job.Lost] != 0 || got[job.Running] != len(all)+len(real) {
		t.Errorf("states %v", got)
	}
	var ill job.Run
	t.Cleanup(func() {
		if t.Failed() && ill.Health != job.Healthy {
			t.Logf("%s is %s: %+v", ill.ID, ill.Health, ill.Findings)
		}
	})
	eventually(t, "every run is healthy", func() bool {
		for _, ref := range append(real, all[0].id) {
			if ill, _ = s.find(ref); ill.Health != job.Healthy {
				return false
			}
		}
		return true
	})
	for _, ref := range real {
		wantCounting(t, s, ref)
	}
}

// wantCounting ends a run that counts, and looks whether a number is missing in its log.
func wantCounting(t *testing.T, s *server, ref string) {
	t.Helper()
	h := newHost(t)
	if got := h.run("cancel", "--server", s.url, ref); got.code != 0 {
		t.Fatalf("cancel: %+v", got)
	}
	r := s.ended(ref)
	if r.State != job.Canceled || !r.Output.Complete || len(r.Output.Gaps) != 0 {
		t.Errorf("%s ended as %s, output %+v", ref, r.State, r.Output)
	}
	// On stderr the shell may say that its sleep was terminated.
	lines := strings.Split(strings.TrimSpace(string(s.log(r.ID, "?stream=stdout"))), "\n")
	for i, line := range lines {
		if line != fmt.Sprint(i) {
			t.Fatalf("line %d of the log of %s is %q", i+1, ref, line)
		}
	}
	if len(lines) < 100 {
		t.Errorf("%s printed only %d lines", ref, len(lines))
	}
}

// eventuallyLong is eventually for what takes a minute by design.
func eventuallyLong(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s it does not hold: %s", 2*patience, what)
		}
	}
}

// A server that is stopped for ten seconds, as a host that was paused, calls nobody lost.
func TestAStoppedServerCallsNobodyLost(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	all, real := fleet(t, s, s.url)
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		signal(t, s.cmd, sig)
		if sig == syscall.SIGSTOP {
			<-time.After(10 * time.Second)
		}
	}
	before := all[0].beats.Load()
	eventually(t, "the agents beat again", func() bool { return all[0].beats.Load() >= before+5 })
	if got := s.states(); got[job.Running] != len(all)+len(real) {
		t.Errorf("states %v", got)
	}
	if got := s.notified(); len(got) != 0 {
		t.Errorf("notified %v", got)
	}
}

// Two servers on one PostgreSQL: the one that judges is notified by the other of agents that
// are gone, and when it is killed the other one judges within seconds.
func TestAnotherServerTakesOver(t *testing.T) {
	database := postgrestest.URL(t)
	servers := make([]*server, 2)
	for i := range servers {
		servers[i] = &server{t: t, url: "http://" + freeAddress(t), database: database}
		servers[i].start()
		t.Cleanup(servers[i].stop)
	}
	first, second := servers[0], servers[1]
	lost := func(a *simulated) time.Duration {
		t.Helper()
		begun := time.Now()
		a.kill()
		eventually(t, "it is lost", func() bool { r, ok := second.find(a.id); return ok && r.State == job.Lost })
		return time.Since(begun)
	}
	var all []*simulated
	for range 4 { // all of them beside the server that does not judge
		all = append(all, simulate(t, second.url, "fleet"))
	}
	beat := func(n int64) {
		t.Helper()
		eventually(t, "they beat", func() bool {
			for _, a := range all {
				if a.beats.Load() < n {
					return false
				}
			}
			return true
		})
	}
	beat(3)
	if took := lost(all[0]); took > 8*time.Second {
		t.Errorf("lost %s after it was killed, judged by the other server", took)
	}
	all = all[1:]
	first.kill()
	if took := lost(all[0]); took > 8*time.Second {
		t.Errorf("lost %s after it was killed, judged by the server that took over", took)
	}
	all = all[1:]
	beat(15)
	if got := second.states(); got[job.Lost] != 2 || got[job.Running] != 2 {
		t.Errorf("states %v", got)
	}
}
