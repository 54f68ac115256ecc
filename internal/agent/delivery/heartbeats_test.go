package delivery

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

// heldServer reports when the connection of heartbeats is cut.
type heldServer struct {
	*fakeServer
	cut chan struct{}
}

func (h *heldServer) HeartbeatsCut() <-chan struct{} { return h.cut }

// beating sends heartbeats to a server until the test's bubble ends, and returns the replies
// that it applied and whether it has stopped.
func beating(t *testing.T, s Server, link *Link) (applied, stopped *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	close(ready)
	applied, stopped = new(atomic.Int64), new(atomic.Int64)
	b := &Heartbeats{
		Server: s, Run: testRun, Attempt: 1, Period: 5 * time.Second, Begun: time.Now(), Ready: ready, Link: link,
		Evidence: func(time.Time) job.Heartbeat { return job.Heartbeat{} }, Reply: func(job.HeartbeatReply) { applied.Add(1) },
	}
	done := make(chan struct{})
	go func() { defer close(done); b.Send(ctx); stopped.Add(1) }()
	t.Cleanup(func() { cancel(); <-done })
	return applied, stopped
}

// after waits, and returns when the beats since the last call were, counted from that call.
func (s *fakeServer) after(d time.Duration) []time.Duration {
	<-time.After(d)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []time.Duration
	for _, at := range s.beats[s.seen:] {
		out = append(out, at-s.seenAt)
	}
	s.seen, s.seenAt = len(s.beats), time.Since(s.begun)
	return out
}

// A connection that is cut is followed by a heartbeat within 300 ms, once for each cut.
func TestACutConnectionIsFollowedByABeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &heldServer{newFakeServer(nil), make(chan struct{}, 1)}
		beating(t, server, NewLink(nil))
		if got := server.after(time.Second); len(got) != 1 || got[0] != 0 {
			t.Fatalf("heartbeats at %v, want one at once", got)
		}
		for range 20 {
			server.cut <- struct{}{}
			if got := server.after(4 * time.Second); len(got) != 1 || got[0] < 50*time.Millisecond || got[0] > 300*time.Millisecond {
				t.Fatalf("heartbeats at %v after a cut, want one within 300 ms", got)
			}
		}
		if got := server.after(5 * time.Second); len(got) != 1 {
			t.Errorf("heartbeats at %v, want one in a period", got)
		}
	})
}

// While the way to the server is being repaired, the agent tries again twice a second or more
// often, for a while.
func TestACutThatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		server := &heldServer{newFakeServer(func(context.Context, int64, []byte) error {
			if away.Load() {
				return foreign(502)
			}
			return nil
		}), make(chan struct{}, 1)}
		applied, _ := beating(t, server, NewLink(nil))
		server.after(time.Second)
		away.Store(true)
		server.cut <- struct{}{}
		last := time.Duration(0)
		for _, at := range server.after(3 * time.Second) {
			if at-last > 500*time.Millisecond {
				t.Errorf("nothing between %s and %s after the cut", last, at)
			}
			last = at
		}
		if last < 2500*time.Millisecond || applied.Load() != 1 {
			t.Errorf("the last heartbeat is at %s, %d replies were applied", last, applied.Load())
		}
		last = 0
		for _, at := range server.after(30 * time.Second) { // as long as the server may trust the agent
			if at-last > 1300*time.Millisecond {
				t.Errorf("nothing between %s and %s while the lease lasts", last, at)
			}
			last = at
		}
		server.after(3 * time.Second)
		if got := server.after(20 * time.Second); len(got) != 4 {
			t.Errorf("heartbeats at %v, want the usual pace again", got)
		}
	})
}

// cutNetwork is a server behind a network that is cut for a while. Nothing that is sent
// meanwhile arrives, also not later.
type cutNetwork struct {
	begun      time.Time
	from, till time.Duration // of the cut
	refuses    bool          // what is sent in it fails at once instead of hanging
	cuts       chan struct{} // nil for a server that does not report cuts

	mu      sync.Mutex
	arrived []time.Duration
}

func (n *cutNetwork) HeartbeatsCut() <-chan struct{} { return n.cuts }

func (n *cutNetwork) Append(context.Context, string, int, int64, []byte) (job.AppendReply, error) {
	return job.AppendReply{}, errAway
}

func (n *cutNetwork) Beat(ctx context.Context, _ string, _ int, _ job.Heartbeat) (job.HeartbeatReply, error) {
	away := func() bool { at := time.Since(n.begun); return at >= n.from && at < n.till }
	hang := func() error {
		if !n.refuses {
			<-ctx.Done()
			select { // the connection is closed with the request
			case n.cuts <- struct{}{}:
			default:
			}
		}
		return errAway
	}
	<-time.After(time.Millisecond) // the way there
	if away() {
		return job.HeartbeatReply{}, hang()
	}
	n.mu.Lock()
	n.arrived = append(n.arrived, time.Since(n.begun))
	n.mu.Unlock()
	<-time.After(time.Millisecond) // and back
	if away() {
		return job.HeartbeatReply{}, hang()
	}
	return job.HeartbeatReply{Owner: true, NextMS: 5000, LeaseMS: testLease.Milliseconds()}, nil
}

// testLease is what the server gives for a period of 5 s: the network may be cut for as long
// without any run being called lost. testTrust is how long it then waits after a heartbeat
// (docs/leases.md).
const (
	testLease = 20 * time.Second
	testTrust = 30 * time.Second
)

// maxSilence is how long the server gets nothing of an agent whose network is cut.
func maxSilence(t *testing.T, n *cutNetwork) (longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		n.begun = time.Now()
		var s Server = n
		if n.cuts == nil {
			s = struct{ Server }{n}
		} else {
			n.cuts = make(chan struct{}, 1)
		}
		beating(t, s, NewLink(nil))
		<-time.After(n.till + testTrust)
		n.mu.Lock()
		defer n.mu.Unlock()
		last := time.Duration(0)
		for _, at := range append(n.arrived, time.Since(n.begun)) {
			longest, last = max(longest, at-last), at
		}
	})
	return longest
}

// An agent whose network is cut for no longer than its lease sends a heartbeat that arrives in time, at
// whatever moment of its period the cut begins and ends, and whatever becomes of its requests.
func TestNoCutWithinTheLeaseLosesALiveAgent(t *testing.T) {
	worst := time.Duration(0)
	for _, refuses := range []bool{false, true} {
		for _, cuts := range []chan struct{}{nil, make(chan struct{})} {
			for phase := time.Duration(0); phase <= 5100*time.Millisecond; phase += 50 * time.Millisecond {
				for long := testLease; long > 0; long -= 700 * time.Millisecond {
					from := 10*time.Second + phase
					silence := maxSilence(t, &cutNetwork{from: from, till: from + long, refuses: refuses, cuts: cuts})
					if worst = max(worst, silence); silence >= testTrust {
						t.Fatalf("a cut of %s, %s after a heartbeat (refuses %v, reports cuts %v): no heartbeat arrived for %s",
							long, phase, refuses, cuts != nil, silence)
					}
				}
			}
		}
	}
	t.Logf("no heartbeat arrived for %s at most", worst)
	// A cut that is longer than that does lose it: the model distinguishes them.
	if got := maxSilence(t, &cutNetwork{from: 10 * time.Second, till: 10*time.Second + testTrust}); got < testTrust {
		t.Errorf("a cut of %s: no heartbeat arrived for %s", testTrust, got)
	}
}

// What a reply asks for stays within bounds, whatever it is.
func TestThePaceHasBounds(t *testing.T) {
	for next, want := range map[int64]time.Duration{
		0: 5 * time.Second, -1: 5 * time.Second, math.MinInt64: 5 * time.Second,
		1: minBeatInterval, 2000: 2 * time.Second,
		math.MaxInt64: maxBeatInterval, math.MaxInt64 / 1_000_000: maxBeatInterval, math.MaxInt64/1_000_000 + 1: maxBeatInterval,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeServer(nil)
			s.next = next
			beating(t, s, NewLink(nil))
			got := s.after(2*want + time.Millisecond)
			if len(got) != 3 || got[1] != want || got[2] != 2*want {
				t.Errorf("next_ms %d: heartbeats at %v, want each %s", next, got, want)
			}
		})
	}
}

func TestHeartbeatsFollowTheRule(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		every time.Duration // 0 for the last
	}{
		{"deleted", problem(410, job.ProblemRunDeleted), 0},
		{"another run", problem(409, job.ProblemRunIDUsed), 0},
		{"a wrong token", problem(401, job.ProblemUnauthorized), time.Minute},
		{"a scope too small", problem(403, job.ProblemForbidden), time.Minute},
		{"no time", problem(503, job.ProblemUnavailable), 7 * time.Second},
		{"a proxy with no time", foreign(503), 9 * time.Second},
		{"something else", foreign(410), 5 * time.Second},
		{"nobody", errAway, 5 * time.Second},
		{"not known", problem(404, job.ProblemNotFound), 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeServer(always(c.err))
				applied, stopped := beating(t, s, NewLink(nil))
				if got := s.after(time.Minute); c.every > 0 && c.every < time.Minute && len(got) < 8 {
					t.Errorf("heartbeats at %v, want them while the lease lasts", got)
				}
				got := s.after(10 * time.Minute)
				if c.every == 0 {
					if len(s.beats) != 1 || stopped.Load() != 1 {
						t.Errorf("%d heartbeats, stopped %d", len(s.beats), stopped.Load())
					}
				} else if want := int(10*time.Minute/c.every) + 1; len(got) < want-1 || len(got) > want || stopped.Load() != 0 {
					t.Errorf("%d heartbeats, want %d", len(got), want)
				}
				if applied.Load() != 0 {
					t.Errorf("%d replies were applied", applied.Load())
				}
			})
		})
	}
}
