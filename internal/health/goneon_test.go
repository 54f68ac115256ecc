package health

import (
	"testing"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

// A server that was left by an agent, which has sent heartbeats to another one since, does not report that its connection closed.
func TestAFollowerKeepsQuietOfAgentsThatWentOn(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		s.set(func(s *fakeStore) { s.follows = true })
		pass(s, 2*time.Second, "a", "b")
		s.set(func(s *fakeStore) {
			s.leases["a"].Beat, s.leases["b"].Beat = &job.Heartbeat{Sequence: 8}, &job.Heartbeat{Sequence: 7}
		})
		for _, run := range []string{"a", "b"} {
			d := cut(run, 1)
			d.Sequence = 7
			m.Disconnected(d)
		}
		pass(s, 2*time.Second)
		if len(s.noted) != 1 || s.noted[0].Run != "b" || len(m.closedNow()) != 0 {
			t.Errorf("noted %+v, still knows %v", s.noted, m.closedNow())
		}
	})
}

// A server that was stopped reads heartbeats that were sent before their agents went on to another server, and then that their
// connections closed: the agents have until their next heartbeat is due.
func TestConnectionsThatCloseAfterTheServerWasStopped(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(Config{Store: newFakeStore(), Now: func() time.Time { return now }})
	m.tick(now)
	closing := func() time.Duration {
		d := lease.Disconnect{Run: "a", Attempt: 1, At: now, Peer: true, Every: 5 * time.Second}
		m.Disconnected(d)
		return m.closedNow()[attempt{"a", 1}].Confirm
	}
	for _, step := range []struct{ after, want time.Duration }{
		{tickInterval, rules.ConfirmTimeout},
		{8 * time.Second, 5*time.Second + rules.LateHeartbeatLimit}, // no timer fired meanwhile
		{tickInterval, 5*time.Second + rules.LateHeartbeatLimit},
	} {
		now = now.Add(step.after)
		m.tick(now)
		if got := closing(); got != step.want {
			t.Errorf("after %s it has %s, want %s", step.after, got, step.want)
		}
	}
	for range 50 {
		now = now.Add(tickInterval)
		m.tick(now)
	}
	if got := closing(); got != rules.ConfirmTimeout {
		t.Errorf("long after it has %s", got)
	}
}
