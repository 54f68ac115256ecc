package health

import (
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
)

// Disconnected reports that the connection closed on which an attempt kept sending heartbeats. It
// never blocks.
func (m *Monitor) Disconnected(d lease.Disconnect) {
	d.At = d.At.Round(0)
	m.mu.Lock()
	m.closed[attempt{d.Run, d.Attempt}] = d
	old := 0
	for old < len(m.recent) && d.At.Sub(m.recent[old].At) > ConfirmDoubt+TogetherWithin {
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

// Returned reports that a request of an attempt arrived again after its connection closed. It
// counts before its commit, for which the server and not the agent is to blame.
func (m *Monitor) Returned(run string, number int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.closed, attempt{run, number})
}

// closings are the connections that closed and may still end runs.
type closings map[attempt]lease.Closure

// closedNow is what the ends of these connections mean now.
func (m *Monitor) closedNow() closings {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.closed) == 0 {
		return nil
	}
	out := make(closings, len(m.closed))
	for a, d := range m.closed {
		out[a] = Closes(d, closedTogether(d, m.recent), m.lateAt)
	}
	return out
}

// closedBefore is how many connections closed before a time.
func closedBefore(recent []lease.Disconnect, at time.Time) int {
	n, _ := slices.BinarySearchFunc(recent, at, func(d lease.Disconnect, at time.Time) int { return d.At.Compare(at) })
	return n
}

// closedTogether counts the connections that closed within TogetherWithin of one, itself
// included, until there are more than FewTogether. Those of the other owner with the most
// count as one: what one owner closes says nothing of others' agents.
func closedTogether(d lease.Disconnect, recent []lease.Disconnect) int {
	total, others := 0, map[string]int{}
	for _, other := range recent[closedBefore(recent, d.At.Add(-TogetherWithin)):] {
		if other.At.Sub(d.At) > TogetherWithin {
			break
		}
		if total++; other.Owner != d.Owner {
			others[other.Owner]++
		}
		if most := tallyOf(others).most[0]; total-max(most-1, 0) > FewTogether {
			return FewTogether + 1
		}
	}
	return total - max(tallyOf(others).most[0]-1, 0)
}

// stillClosed reports whether the agent of a run that is about to be called lost, because
// its connection closed, has not returned meanwhile.
func (m *Monitor) stillClosed(a attempt) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.closed[a]
	return ok
}

// forget drops closed connections that were reported to the server that judges.
func (m *Monitor) forget(reported []lease.ClosedRun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range reported {
		if a := (attempt{c.Run, c.Attempt}); m.closed[a].At.Equal(c.Closure.At) {
			delete(m.closed, a)
		}
	}
}

// dropClosed forgets closed connections of attempts that reported again, or that are not active
// any more: ended, lost or superseded.
func (m *Monitor) dropClosed(leases []lease.Lease, closed closings) {
	if len(closed) == 0 {
		return
	}
	open := make(map[attempt]bool)
	for _, l := range leases {
		a := attempt{l.Run, l.Attempt}
		if c, ok := closed[a]; ok && (Circumstances{Closed: c}).closed(l) {
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
