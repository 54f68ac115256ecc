package health

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

func TestAgentGoneIsToldAtOnceAndConfirmedSoon(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a", "b")
		m.Disconnected(cutUnnoticed("a", 4*time.Second))
		m.Disconnected(cut("a", 2))    // another attempt than the one that is active
		m.Disconnected(cut("none", 1)) // nobody
		pass(s, minInterval, "b")
		want(t, s, "a", policy.Quiet)
		want(t, s, "b", "healthy")
		pass(s, 5*time.Second, "b")
		want(t, s, "a", policy.Quiet)
		pass(s, 3*time.Second, "b")
		want(t, s, "a", "lost")
		want(t, s, "b", "healthy")
		if len(m.closedNow()) != 0 {
			t.Fatalf("closed connections are never forgotten: %v", m.closedNow())
		}
	})
}

func TestAgentThatComesBackHeals(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a")
		m.Disconnected(cutUnnoticed("a", 4*time.Second))
		pass(s, minInterval)
		want(t, s, "a", policy.Quiet)
		pass(s, 2*time.Second)
		pass(s, 20*time.Second, "a")
		want(t, s, "a", "healthy")
	})
}

// lostAfter waits until a run is lost, and returns when that was.
func (s *fakeStore) lostAfter(t *testing.T, run string, since time.Time, beating ...string) time.Duration {
	t.Helper()
	for range 40 {
		if s.state(run) == "lost" {
			return s.lost[run].Sub(since)
		}
		pass(s, time.Second, beating...)
	}
	t.Fatalf("run %s is %s after %s", run, s.state(run), time.Since(since))
	return 0
}

func TestHowLongAClosedConnectionIsConfirmed(t *testing.T) {
	for _, c := range []struct {
		name  string
		prep  func(s *fakeStore, m *Monitor)
		close func(s *fakeStore, m *Monitor, d lease.Disconnect)
		lost  time.Duration // after the close
	}{
		{name: "killed", lost: rules.ConfirmTimeout},
		{name: "two together", lost: rules.ConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			m.Disconnected(d)
			m.Disconnected(lease.Disconnect{Run: "b", Attempt: 1, At: d.At, Peer: true})
		}},
		{name: "three together", lost: rules.LongConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			m.Disconnected(d)
			m.Disconnected(lease.Disconnect{Run: "b", Attempt: 1, At: d.At.Add(100 * time.Millisecond), Peer: true})
			m.Disconnected(lease.Disconnect{Run: "c", Attempt: 1, At: d.At.Add(200 * time.Millisecond)})
		}},
		{name: "many of another owner together", lost: rules.ConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			for i := range 20 {
				m.Disconnected(lease.Disconnect{Run: fmt.Sprint(i), Attempt: 1, Owner: "another", At: d.At, Peer: true})
			}
			m.Disconnected(d)
		}},
		{name: "one of each of two other owners together", lost: rules.LongConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			m.Disconnected(d)
			m.Disconnected(lease.Disconnect{Run: "b", Attempt: 1, Owner: "another", At: d.At, Peer: true})
			m.Disconnected(lease.Disconnect{Run: "c", Attempt: 1, Owner: "third", At: d.At, Peer: true})
		}},
		{name: "three one after the other", lost: rules.ConfirmTimeout, prep: func(s *fakeStore, m *Monitor) {
			m.Disconnected(cut("b", 1))
			pass(s, 300*time.Millisecond, "a", "b", "c")
			m.Disconnected(cut("c", 1))
			pass(s, 300*time.Millisecond, "a", "b", "c")
		}},
		{name: "something is between", lost: rules.LongConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			d.Indirect = true
			m.Disconnected(d)
		}},
		{name: "the agent was late before", lost: rules.LongConfirmTimeout, prep: func(s *fakeStore, _ *Monitor) {
			s.set(func(s *fakeStore) { s.leases["a"].Beat = &job.Heartbeat{SchedulingDelayMS: 400} })
		}},
		{name: "the server was late before", lost: rules.LongConfirmTimeout, prep: func(s *fakeStore, m *Monitor) {
			m.recordLateness(time.Now(), 400*time.Millisecond)
			pass(s, 2*time.Second, "a", "b", "c")
		}},
		{name: "the server was late long before", lost: rules.ConfirmTimeout, prep: func(s *fakeStore, m *Monitor) {
			m.recordLateness(time.Now(), 400*time.Millisecond)
			pass(s, 6*time.Second, "a", "b", "c")
		}},
		{name: "the server is late meanwhile", lost: rules.LongConfirmTimeout, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			m.Disconnected(d)
			synctest.Wait()
			m.recordLateness(time.Now(), 400*time.Millisecond)
		}},
		{name: "the database is slow", lost: rules.ConfirmTimeout, close: func(s *fakeStore, m *Monitor, d lease.Disconnect) {
			s.set(func(s *fakeStore) { s.stall = 400 * time.Millisecond })
			m.Disconnected(d)
			synctest.Wait()
			s.set(func(s *fakeStore) { s.stall = 0 })
		}},
		{name: "it would notice only with its next heartbeat", lost: 4*time.Second + rules.LateHeartbeatLimit, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			d.Due = d.At.Add(4 * time.Second)
			m.Disconnected(d)
		}},
		{name: "it only fell silent", lost: 15 * time.Second, close: func(_ *fakeStore, m *Monitor, d lease.Disconnect) {
			d.Peer = false
			m.Disconnected(d)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
				all := []string{"a", "b", "c"}
				pass(s, 70*time.Second+300*time.Millisecond, all...)
				if c.prep != nil {
					c.prep(s, m)
				}
				s.beat("a")
				d := cut("a", 1)
				if c.close == nil {
					c.close = func(_ *fakeStore, m *Monitor, d lease.Disconnect) { m.Disconnected(d) }
				}
				c.close(s, m, d)
				pass(s, 800*time.Millisecond, "b", "c")
				want(t, s, "a", policy.Quiet)
				if took := s.lostAfter(t, "a", d.At, "b", "c"); took < c.lost || took > c.lost+minInterval {
					t.Errorf("lost after %s, want %s", took, c.lost)
				}
				want(t, s, "b", "healthy")
			})
		})
	}
}

// An agent whose request has arrived is back, however long the commit takes.
func TestAnAgentIsBackWithItsRequest(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a", "b")
		m.Disconnected(cut("a", 1))
		pass(s, 900*time.Millisecond, "b")
		want(t, s, "a", policy.Quiet)
		m.Returned("a", 1)
		pass(s, 5*time.Second, "b")
		if s.state("a") == "lost" {
			t.Fatal("lost though its request is being committed")
		}
		pass(s, 2*time.Second, "a", "b")
		want(t, s, "a", "healthy")
	})
}

// When a cut ends, the connections of before are reset, and agents take some seconds to be
// back: that is no end of the silence, and its end is reported once.
func TestResetAfterACutIsNoEndOfIt(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprint("run", i))
		}
		pass(s, 70*time.Second, all...)
		pass(s, 60*time.Second) // the cut
		want(t, s, all[0], "network")
		for _, run := range all {
			m.Disconnected(cut(run, 1))
		}
		pass(s, 5*time.Second)
		pass(s, 20*time.Second, all...)
		want(t, s, all[0], "healthy")
		if len(s.outbox) != 2 || s.outbox[0].What != outbox.WhatNetwork || s.outbox[1].What != outbox.WhatRecovered {
			t.Errorf("reported %+v", s.outbox)
		}
	})
}

// What stands between agents and server was restarted: all connections close, and all come
// back. Nobody is notified.
func TestManyThatComeBackAreNoNews(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprint("run", i))
		}
		pass(s, 70*time.Second, all...)
		for _, run := range all {
			m.Disconnected(cutUnnoticed(run, 5*time.Second))
		}
		pass(s, time.Second)
		want(t, s, all[0], policy.Quiet)
		pass(s, 3*time.Second, all...)
		want(t, s, all[0], "healthy")
		if len(s.outbox) != 0 {
			t.Errorf("outbox %+v", s.outbox)
		}
		for _, run := range all {
			m.Disconnected(cut(run, 1))
		}
		pass(s, 20*time.Second)
		want(t, s, all[0], "network")
		if len(s.outbox) != 1 || s.outbox[0].What != outbox.WhatNetwork {
			t.Errorf("outbox %+v", s.outbox)
		}
	})
}
