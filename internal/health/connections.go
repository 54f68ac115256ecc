package health

import (
	"slices"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
)

// Disconnected implements conns.Observer: the connection of the heartbeats of an attempt has closed. It never
// blocks.
func (m *Monitor) Disconnected(d lease.Disconnect) {
	d.At = d.At.Round(0)
	m.mu.Lock()
	m.closed[attempt{d.Run, d.Attempt}] = d
	old := 0
	for old < len(m.recent) && d.At.Sub(m.recent[old].At) > rules.LongConfirmTimeout+rules.TogetherInterval {
		old++
	}
	m.recent = m.recent[old:]
	m.recent = slices.Insert(m.recent, closedBefore(m.recent, d.At), d)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Returned implements conns.Observer: a request of an attempt has arrived after its connection closed. It is
// called before the commit of the request, because a slow commit says nothing about the agent.
func (m *Monitor) Returned(run string, number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.closed, attempt{run, number})
}

// closings are the closures of connections because of which runs may be called lost.
type closings map[attempt]lease.Closure

// closedNow returns the closures of the connections that have closed.
func (m *Monitor) closedNow() closings {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.closed) == 0 {
		return nil
	}
	out := make(closings, len(m.closed))
	for a, d := range m.closed {
		d.Stopped = d.At.Sub(m.stoppedAt).Abs() <= rules.StoppedLimit
		out[a] = rules.ClosureOf(d, closedTogether(d, m.recent), m.lateAt)
	}
	return out
}

// closedBefore returns how many connections closed before a time.
func closedBefore(recent []lease.Disconnect, at time.Time) int {
	n, _ := slices.BinarySearchFunc(recent, at, func(d lease.Disconnect, at time.Time) int { return d.At.Compare(at) })
	return n
}

// closedTogether returns how many connections closed within rules.TogetherInterval of one, itself included, but
// no more than rules.FewTogether+1. Those of the other owner with the most count as one, because connections that
// one owner closes say nothing about the agents of others.
func closedTogether(d lease.Disconnect, recent []lease.Disconnect) int {
	total, others := 0, map[string]int{}
	for _, other := range recent[closedBefore(recent, d.At.Add(-rules.TogetherInterval)):] {
		if other.At.Sub(d.At) > rules.TogetherInterval {
			break
		}
		if total++; other.Owner != d.Owner {
			others[other.Owner]++
		}
		if most := tallyOf(others).most[0]; total-max(most-1, 0) > rules.FewTogether {
			return rules.FewTogether + 1
		}
	}
	return total - max(tallyOf(others).most[0]-1, 0)
}

// isStillClosed reports whether the agent of an attempt has not returned since its connection closed.
func (m *Monitor) isStillClosed(a attempt) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.closed[a]
	return ok
}

// dropReported drops the closed connections that were reported to the server that judges.
func (m *Monitor) dropReported(reported []lease.ClosedRun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range reported {
		if a := (attempt{c.Run, c.Attempt}); m.closed[a].At.Equal(c.Closure.At) {
			delete(m.closed, a)
		}
	}
}

// dropClosed drops the closed connections of attempts that have reported again, or are not active any more.
func (m *Monitor) dropClosed(leases []lease.Lease, closed closings) {
	if len(closed) == 0 {
		return
	}
	open := make(map[attempt]bool)
	for _, l := range leases {
		a := attempt{l.Run, l.Attempt}
		if c, ok := closed[a]; ok && (rules.Circumstances{Closed: c}).IsDisconnected(l) {
			open[a] = true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for a, c := range closed {
		if !open[a] && m.closed[a].At.Equal(c.At) {
			delete(m.closed, a)
		}
	}
}
