package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a worker that runs.
type fixture struct {
	*Worker
	server   *fakeServer
	system   *fakeSystem
	stops    chan os.Signal
	children chan os.Signal
	done     chan struct{}
	lines    *lines
}

// lines collects what is printed.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

// run begins a worker with two slots, which ends with the test.
func run(t *testing.T, state string, s *fakeServer, sys *fakeSystem, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{server: s, system: sys, stops: make(chan os.Signal, 4), children: make(chan os.Signal, 1), done: make(chan struct{}), lines: &lines{}}
	c := Config{
		Name: "w7", Host: "here", BootID: "boot", Version: "test", StateDir: state, Server: s, Slots: 2, system: sys,
		Stops: f.stops, Children: f.children, Print: f.lines.print, Getenv: func(string) string { return "" },
	}
	if change != nil {
		change(&c)
	}
	var err error
	if f.Worker, err = Open(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(f.done)
		f.Run(ctx)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-f.done })
	return f
}

// end ends an agent, and reports that as the system does.
func (f *fixture) end(pid int, reason string) {
	f.system.end(pid, reason)
	f.children <- syscall.SIGCHLD
	synctest.Wait()
}

func TestRunsFillTheSlots(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := run(t, state, newServer(1, 2, 3), newSystem(), nil)
		synctest.Wait()
		if pids := f.system.pids(); len(pids) != 2 || len(f.server.queue) != 1 {
			t.Fatalf("agents %v, %d runs wait", pids, len(f.server.queue))
		}
		if s := f.system.begun[0]; s.Claim.Run != runID(1) || s.Worker != "w7" || s.Until <= 0 {
			t.Errorf("settings %+v", s)
		}
		r := f.server.last()
		if r.Free != 0 || r.Slots != 2 || !slices.Equal(r.Starting, []string{"c1", "c2"}) || len(r.Running) != 0 || r.WaitMS != shortWait.Milliseconds() {
			t.Errorf("request %+v", r)
		}
		if r.WorkerID == "" || r.Host != "here" || r.Version != "test" || !slices.Equal(r.Specs, []int{job.SpecVersion}) || r.FreeMemoryBytes != 1<<30 || r.FreeCPUs == nil || *r.FreeCPUs != 1.5 {
			t.Errorf("request %+v", r)
		}
		f.end(f.system.pids()[0], "")
		if len(f.system.begun) != 3 || len(f.server.queue) != 0 {
			t.Errorf("%d agents were started after a slot was free, %d runs wait", len(f.system.begun), len(f.server.queue))
		}
		if len(f.server.gaveBack()) != 0 {
			t.Errorf("gave back %v", f.server.gaveBack())
		}
	})
}

// A run is submitted while the server has held the request of an idle worker for longer than a claim lasts: the claim
// counts from the answer.
func TestClaimCountsFromTheAnswer(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		f := run(t, state, newServer(), newSystem(), func(c *Config) { c.clock = func() time.Duration { return time.Since(begun) } })
		const held = 18 * time.Second
		<-time.After(held)
		f.server.set(func() { f.server.queue = append(f.server.queue, claimOf(1)) })
		synctest.Wait()
		if len(f.system.begun) != 1 {
			t.Fatalf("%d agents", len(f.system.begun))
		}
		if until := time.Duration(f.system.begun[0].Until); until != held+15*time.Second {
			t.Errorf("the claim that was given after %s ends after %s", held, until)
		}
	})
}

// An answer that is lost is asked for again, by the same id, and every run is started once.
func TestLostAnswers(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.lose = 3
		f := run(t, state, s, newSystem(), nil)
		<-time.After(time.Minute)
		synctest.Wait()
		if len(f.system.begun) != 1 || len(s.given) != 1 {
			t.Errorf("%d agents, %d claim ids", len(f.system.begun), len(s.given))
		}
		if text := f.lines.String(); strings.Count(text, "the reply was lost") != 1 || !strings.Contains(text, "the server answers again") {
			t.Errorf("printed %q", text)
		}
	})
}

func TestOutage(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.err = errors.New("connection refused")
		f := run(t, state, s, newSystem(), nil)
		<-time.After(time.Hour)
		synctest.Wait()
		if n := len(s.requests); n < 250 || n > 450 {
			t.Errorf("%d requests in an hour", n)
		}
		s.set(func() { s.err = nil })
		<-time.After(2 * longestPause)
		synctest.Wait()
		if len(f.system.begun) != 1 {
			t.Errorf("%d agents after the outage", len(f.system.begun))
		}
	})
}

// A server of an older version has no route for workers; a newer one may take its place.
func TestServerWithoutAQueue(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.err = &job.Problem{Type: job.ProblemNotFound, Status: http.StatusNotFound, Detail: "the API has no path"}
		f := run(t, state, s, newSystem(), nil)
		<-time.After(time.Hour)
		synctest.Wait()
		if text := f.lines.String(); strings.Count(text, "this server gives no runs to workers: it needs a version of stint that has a queue") != 1 {
			t.Errorf("printed %q", text)
		}
		s.set(func() { s.err = nil })
		<-time.After(2 * refusedPause)
		synctest.Wait()
		if len(f.system.begun) != 1 {
			t.Errorf("%d agents once the server has a queue", len(f.system.begun))
		}
	})
}

// A server that holds no request is not asked without a pause.
func TestAnswersThatComeEarly(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		f := run(t, state, s, newSystem(), func(c *Config) { c.Server = hasty{s} })
		<-time.After(time.Minute)
		synctest.Wait()
		if n := len(s.requests); n < 30 || n > 70 {
			t.Errorf("%d requests in a minute", n)
		}
		_ = f
	})
}

// hasty answers at once.
type hasty struct{ *fakeServer }

func (h hasty) Claim(_ context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error) {
	h.set(func() { h.requests = append(h.requests, r) })
	return job.ClaimReply{ClaimID: r.ClaimID, Worker: worker}, nil
}

func TestClaimsThatAreGivenBack(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *fakeSystem, *job.Claim)
		says   string
	}{
		"not allowed":       {func(c *Config, _ *fakeSystem, _ *job.Claim) { c.Trust.Allow = []string{"other"} }, "this worker runs other only (--allow)"},
		"a command":         {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Definition = "" }, "this worker runs no commands without a definition (--allow-commands)"},
		"a newer spec":      {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Spec.Version = 2 }, "the claim has version 2, and this worker runs version 1: update it"},
		"no command":        {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Spec.Args = nil }, "the claim has no command"},
		"no attempt":        {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Attempt = 0 }, "the claim names no attempt"},
		"a path as its run": {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Run = "../../etc" }, "the claim names no attempt"},
		"no such directory": {func(_ *Config, _ *fakeSystem, c *job.Claim) { c.Spec.Dir = "/nowhere/at/all" }, "the directory of the job cannot be used: stat /nowhere/at/all: no such file or directory"},
		"no definition": {func(c *Config, _ *fakeSystem, _ *job.Claim) {
			c.Trust.Local = func(job.Claim) (job.Spec, error) { return job.Spec{}, os.ErrNotExist }
		}, "file does not exist"},
		"a command beside definitions on the disk": {func(c *Config, _ *fakeSystem, claim *job.Claim) {
			claim.Definition, c.Trust.Commands = "", true
			c.Trust.Local = func(job.Claim) (job.Spec, error) { return job.Spec{}, nil }
		}, "this worker runs no commands without a definition (--allow-commands)"},
		"the system starts no agent": {func(_ *Config, s *fakeSystem, _ *job.Claim) { s.fails = errors.New("no processes left") }, "the agent could not be started: no processes left"},
	} {
		state := t.TempDir()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, sys := newServer(1), newSystem()
				f := run(t, state, s, sys, func(cfg *Config) { c.change(cfg, sys, &s.queue[0]) })
				synctest.Wait()
				if got := s.gaveBack(); !slices.Equal(got, []string{"c1: " + c.says}) || len(sys.begun) != 0 {
					t.Errorf("gave back %q, %d agents; want %q", got, len(sys.begun), c.says)
				}
				if !strings.Contains(f.lines.String(), c.says) {
					t.Errorf("printed %q", f.lines)
				}
			})
		})
	}
}

// With definitions on its own disk a worker runs what they say, whatever the server says.
func TestDefinitionOnTheDisk(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.queue[0].Spec = job.Spec{
			Version: job.SpecVersion, Args: []string{"rm", "-r", "/"}, Env: map[string]string{"LD_PRELOAD": "x"}, Dir: "/", Labels: map[string]string{"a": "b"}, MemoryBytes: 2 << 30,
		}
		f := run(t, state, s, newSystem(), func(c *Config) {
			c.Trust.Local = func(job.Claim) (job.Spec, error) {
				return job.Spec{Version: job.SpecVersion, Args: []string{"true"}, MemoryBytes: 1 << 30}, nil
			}
		})
		synctest.Wait()
		if len(f.system.begun) != 1 {
			t.Fatalf("%d agents", len(f.system.begun))
		}
		got := f.system.begun[0].Claim.Spec
		if !slices.Equal(got.Args, []string{"true"}) || len(got.Env) != 0 || got.Dir != "" || got.MemoryBytes != 2<<30 || got.Labels["a"] != "b" {
			t.Errorf("spec %+v", got)
		}
	})
}

// An agent that could not ask for the permit gives its reason, and the claim goes back with it. One
// that has asked says nothing.
func TestAgentThatDidNotStart(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := run(t, state, newServer(1, 2), newSystem(), nil)
		synctest.Wait()
		pids := f.system.pids()
		f.end(pids[0], "no cgroup")
		f.end(pids[1], "")
		if got := f.server.gaveBack(); !slices.Equal(got, []string{"c1: no cgroup"}) {
			t.Errorf("gave back %q", got)
		}
	})
}

// The first signal ends a worker when its agents have ended, the second stops them.
func TestTwoSignals(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := run(t, state, newServer(1), newSystem(), nil)
		synctest.Wait()
		f.stops <- syscall.SIGTERM
		synctest.Wait()
		f.server.set(func() { f.server.queue = append(f.server.queue, claimOf(2)) })
		<-time.After(time.Minute)
		synctest.Wait()
		if r := f.server.last(); !r.Leaving || r.Free != 0 || len(f.system.begun) != 1 || len(f.system.stopped) != 0 {
			t.Errorf("request %+v, %d agents, stopped %v", r, len(f.system.begun), f.system.stopped)
		}
		f.stops <- syscall.SIGTERM
		synctest.Wait()
		pid := f.system.pids()[0]
		if !slices.Equal(f.system.stopped, []int{pid}) {
			t.Errorf("stopped %v", f.system.stopped)
		}
		f.end(pid, "")
		<-f.done
	})
}

// Under a service manager the worker ends at once, and the next one finds the agents.
func TestNextWorkerFindsTheAgents(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		sys, s := newSystem(), newServer(1, 2)
		f := run(t, state, s, sys, func(c *Config) { c.Managed = true })
		synctest.Wait()
		id := s.last().WorkerID
		f.stops <- syscall.SIGTERM
		<-f.done
		if r := s.last(); !r.Leaving || r.WaitMS != 0 || len(sys.pids()) != 2 || len(sys.stopped) != 0 {
			t.Errorf("last request %+v, agents %v", r, sys.pids())
		}
		sys.end(sys.pids()[0], "")
		next := run(t, state, newServer(3, 4), sys, nil)
		synctest.Wait()
		r := next.server.last()
		if r.WorkerID != id || !slices.Equal(r.Starting, []string{"c2", "c3"}) || len(next.server.queue) != 1 {
			t.Errorf("request %+v, %d runs wait", r, len(next.server.queue))
		}
		// The end of one that is no child is found all the same.
		sys.end(sys.pids()[0], "")
		<-time.After(2 * unwatchedPause)
		synctest.Wait()
		if len(next.server.queue) != 0 {
			t.Errorf("%d runs wait", len(next.server.queue))
		}
	})
}

// A worker that was killed while it started an agent may have started it.
func TestAgentWhoseProcessIsNotKnown(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st, err := openState(state)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(
			st.save(record{Claim: "c8", Run: runID(8), Attempt: 1, Job: "test", BootID: "boot"}),
			st.save(record{Claim: "c9", Run: runID(9), Attempt: 1, Job: "test", BootID: "another boot", PID: 7, Started: 7}),
			os.WriteFile(filepath.Join(st.agents(), "torn"), []byte("{"), 0o600),
			st.close(),
		)
		if err != nil {
			t.Fatal(err)
		}
		f := run(t, state, newServer(), newSystem(), nil)
		synctest.Wait()
		if r := f.server.last(); r.Free != 1 || !slices.Equal(r.Starting, []string{"c8"}) {
			t.Errorf("request %+v", r)
		}
		<-time.After(2 * unknownLimit)
		synctest.Wait()
		if r := f.server.last(); r.Free != 2 || len(r.Starting) != 0 {
			t.Errorf("request %+v", r)
		}
		left, err := os.ReadDir(st.agents())
		if err != nil || len(left) != 0 {
			t.Errorf("records %v, %v", left, err)
		}
	})
}

// An agent without a record is found by the journal that it holds, and one with a journal counts as
// running.
func TestAgentsAreFoundByTheirJournals(t *testing.T) {
	state := t.TempDir()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	for n, worker := range map[int]string{5: "w7", 6: ""} {
		j, err := s.Create(spool.Meta{Run: runID(n), Attempt: 1, Job: "test", Worker: worker, PID: 77}, spool.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
	}
	sys := newSystem()
	sys.alive[77] = 770
	synctest.Test(t, func(t *testing.T) {
		f := run(t, state, newServer(), sys, nil)
		synctest.Wait()
		if r := f.server.last(); r.Free != 1 || !slices.Equal(r.Running, []job.AttemptRef{{Run: runID(5), Attempt: 1}}) || len(r.Starting) != 0 {
			t.Errorf("request %+v", r)
		}
	})
}

// At the deadline of a drain the agents are asked to stop, whatever the server's clock shows.
func TestDrain(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1)
		s.skew = 24 * time.Hour
		f := run(t, state, s, newSystem(), nil)
		synctest.Wait()
		by := time.Now().Add(s.skew).Add(time.Hour)
		s.set(func() { s.draining, s.stopBy = "kernel update, by ada", &by })
		<-time.After(59 * time.Minute)
		synctest.Wait()
		if len(f.system.stopped) != 0 || !strings.Contains(f.lines.String(), "draining: kernel update, by ada") {
			t.Errorf("stopped %v, printed %q", f.system.stopped, f.lines)
		}
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if !slices.Equal(f.system.stopped, f.system.pids()) || len(f.system.stopped) != 1 {
			t.Errorf("stopped %v of %v", f.system.stopped, f.system.pids())
		}
		s.set(func() { s.draining, s.stopBy = "", nil })
		<-time.After(time.Minute)
		synctest.Wait()
		if !strings.Contains(f.lines.String(), "resumed") {
			t.Errorf("printed %q", f.lines)
		}
	})
}

// Nothing is taken before what waits on the host was delivered once.
func TestFlushComesFirst(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		flushed := make(chan error)
		s := newServer(1)
		f := run(t, state, s, newSystem(), func(c *Config) {
			c.Flush = func(ctx context.Context) error {
				select {
				case err := <-flushed:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		<-time.After(time.Minute)
		synctest.Wait()
		if r := s.last(); r.Free != 0 || len(f.system.begun) != 0 {
			t.Errorf("request %+v, %d agents", r, len(f.system.begun))
		}
		flushed <- nil
		synctest.Wait()
		if len(f.system.begun) != 1 {
			t.Errorf("%d agents", len(f.system.begun))
		}
	})
}

// What an agent leaves that died is delivered soon.
func TestFlushAfterAnAgentDied(t *testing.T) {
	state := t.TempDir()
	sp, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		flushes := make(chan struct{}, 10)
		f := run(t, state, newServer(1), newSystem(), func(c *Config) {
			c.Flush = func(context.Context) error { flushes <- struct{}{}; return nil }
		})
		<-time.After(time.Minute)
		synctest.Wait()
		j, err := sp.Create(spool.Meta{Run: runID(1), Attempt: 1, Job: "test", Worker: "w7"}, spool.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		before := len(flushes)
		f.end(f.system.pids()[0], "killed")
		<-time.After(2 * leftPause)
		synctest.Wait()
		if len(flushes) != before+1 || len(f.server.gaveBack()) != 0 {
			t.Errorf("%d deliveries, then %d; gave back %v", before, len(flushes), f.server.gaveBack())
		}
	})
}

// Journals that cannot be delivered although the server answers are no reason to take no runs.
func TestFlushThatFails(t *testing.T) {
	state := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		flushes := 0
		f := run(t, state, newServer(1), newSystem(), func(c *Config) {
			c.Flush = func(context.Context) error { flushes++; return errors.New("the token is refused") }
		})
		<-time.After(time.Hour)
		synctest.Wait()
		if len(f.system.begun) != 1 || flushes < 50 || flushes > 70 {
			t.Errorf("%d agents, %d deliveries", len(f.system.begun), flushes)
		}
	})
}

func TestTwoWorkersWithOneStateDirectory(t *testing.T) {
	state := t.TempDir()
	first, err := openState(state)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	var used *InUseError
	if _, err := openState(state); !errors.As(err, &used) || used.PID != fmt.Sprint(os.Getpid()) {
		t.Errorf("%v", err)
	}
}
