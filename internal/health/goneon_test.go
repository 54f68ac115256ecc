package health

import (
	"testing"
	"time"

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
