package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// noDeadlineAfter is longer than every lease.
const noDeadlineAfter = 10 * 365 * 24 * time.Hour

// round judges the runs that are due, and stores the verdicts. It returns the earliest deadline of a run that was
// judged, or a time far in the future.
func (m *Monitor) round(ctx context.Context, now time.Time) (deadline time.Time, err error) {
	deadline = now.Add(noDeadlineAfter)
	leads, err := m.store.Lead(ctx)
	if err != nil {
		return deadline, fmt.Errorf("find out which server judges: %w", err)
	}
	m.diagnoser.leads.Store(leads)
	if !leads {
		return deadline, m.follow(ctx, now)
	}
	m.lead(now)
	closed := m.closedNow()
	leases, err := m.due(ctx, now, closed)
	if err != nil {
		return deadline, fmt.Errorf("read leases: %w", err)
	}
	if err := m.policies.refresh(ctx, now, m.store); err != nil {
		return deadline, fmt.Errorf("read policies: %w", err)
	}
	if err := m.updateHolds(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	m.dropClosed(leases, closed)
	if deadline, err = m.judge(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	if err := m.storeEvidence(ctx, now); err != nil {
		return deadline, err
	}
	return deadline, m.judgeWaiting(ctx, now)
}

// follow is the round of a server that does not judge. It reports the connections that closed on this server,
// once it knows how many closed together. Because the server that judges has another clock, it has at least
// rules.LongConfirmTimeout to confirm.
func (m *Monitor) follow(ctx context.Context, now time.Time) error {
	if m.judges {
		m.log.Info("another server judges runs now")
	}
	m.judges, m.wasFollower = false, true
	var closed []lease.ClosedRun
	for a, c := range m.closedNow() {
		if now.Sub(c.At) < rules.TogetherInterval {
			continue // the next round reports it
		}
		if c.Confirm > 0 {
			c.Confirm = max(c.Confirm, rules.LongConfirmTimeout)
		}
		closed = append(closed, lease.ClosedRun{Run: a.run, Attempt: a.number, Closure: c})
	}
	if len(closed) == 0 {
		return nil
	}
	gone, err := m.goneOn(ctx, closed)
	if err != nil {
		return err
	}
	m.dropReported(gone)
	closed = slices.DeleteFunc(closed, func(c lease.ClosedRun) bool { return slices.Contains(gone, c) })
	if err := m.store.NoteClosed(ctx, closed); err != nil {
		return fmt.Errorf("report %d closed connections: %w", len(closed), err)
	}
	m.dropReported(closed)
	return nil
}

// goneOn returns those of some closed connections whose agents have gone on to another server.
func (m *Monitor) goneOn(ctx context.Context, closed []lease.ClosedRun) (gone []lease.ClosedRun, err error) {
	runs := make([]string, len(closed))
	for i, c := range closed {
		runs[i] = c.Run
	}
	leases, err := m.store.Leases(ctx, runs)
	if err != nil {
		return nil, fmt.Errorf("read the leases of %d closed connections: %w", len(closed), err)
	}
	of := make(map[attempt]lease.Lease, len(leases))
	for _, l := range leases {
		of[attempt{l.Run, l.Attempt}] = l
	}
	for _, c := range closed {
		if rules.HasGoneOn(of[attempt{c.Run, c.Attempt}], c.Closure) {
			gone = append(gone, c)
		}
	}
	return gone, nil
}

// lead begins to judge, if this server has not judged before.
func (m *Monitor) lead(now time.Time) {
	if m.judges {
		return
	}
	if m.wasFollower {
		m.leadsFrom, m.trustedUntil = now, now.Add(TakeoverGraceAfter)
		m.log.Info("this server judges runs now")
	}
	m.evidence = newEvidenceCache() // the store has newer evidence
	m.judges, m.page, m.queue = true, page{}, queuePage{}
}

// due returns the leases of this round: those that are due, those whose connection has closed, and a page of the
// others.
func (m *Monitor) due(ctx context.Context, now time.Time, closed closings) ([]lease.Lease, error) {
	leases, err := m.store.Due(ctx, now.Add(dueLimit), maxDue)
	if err != nil {
		return nil, err
	}
	others, err := m.nextPage(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.followClock(ctx, now, leases, others); err != nil {
		return nil, err
	}
	there := make(map[attempt]bool, len(leases)+len(others)+len(closed))
	leases = addLeases(leases[:0], leases, there)
	leases = addLeases(leases, others, there)
	var missing []string
	for a := range closed {
		if !there[a] {
			missing = append(missing, a.run)
		}
	}
	if len(missing) > 0 {
		rest, err := m.store.Leases(ctx, missing)
		if err != nil {
			return nil, err
		}
		leases = addLeases(leases, rest, there)
	}
	for i := range leases {
		leases[i].Evidence = m.evidence.update(leases[i])
	}
	return leases, nil
}

// followClock makes leases begin now that were granted by a clock that was ahead: the clock was set back since, and a dead
// agent would be called lost when that time comes.
func (m *Monitor) followClock(ctx context.Context, now time.Time, read ...[]lease.Lease) error {
	var ahead []string
	now = now.Truncate(time.Microsecond) // as it is stored
	latest := clock.LatestNow(now)
	for _, leases := range read {
		for i := range leases {
			if l := &leases[i]; l.ReportedAt.After(latest) {
				ahead = append(ahead, l.Run)
				l.ReportedAt, l.ExpiresAt = now, now.Add(l.Length)
			}
		}
	}
	if len(ahead) == 0 {
		return nil
	}
	return m.store.ResetLeases(ctx, ahead, now)
}

// addLeases appends the leases of attempts that are not in there, and adds them to it.
func addLeases(to, more []lease.Lease, there map[attempt]bool) []lease.Lease {
	for _, l := range more {
		if a := (attempt{l.Run, l.Attempt}); !there[a] {
			there[a] = true
			to = append(to, l)
		}
	}
	return to
}

// page is the position in a turn through all active runs.
type page struct {
	after string // the row after which the next page begins
	n     int    // runs on the pages of this turn
	pages int    // how many pages this turn has had
	size  int    // runs on a page; 0 for maxPage, in the first turn
}

// nextPage returns the next page of the active runs without a finding. It has a tenth of them, from minPage to
// maxPage, so that with many runs a turn takes longer, but not a round.
func (m *Monitor) nextPage(ctx context.Context) ([]lease.Lease, error) {
	p := &m.page
	size := p.size
	if size == 0 {
		size = maxPage
	}
	leases, last, err := m.store.Active(ctx, p.after, size)
	if err != nil {
		return nil, err
	}
	p.after, p.n, p.pages = last, p.n+len(leases), p.pages+1
	if p.pages >= pagesPerTurn { // there are more runs than in the turn before
		p.size = min(2*size, maxPage)
	}
	if last == "" { // the turn ends
		*p = page{size: min(max(p.n/pagesPerTurn, minPage), maxPage)}
		m.evidence.endTurn()
	}
	return leases, nil
}

// activeRuns returns the number of active runs of each owner, which is counted less often the more there are.
func (m *Monitor) activeRuns(ctx context.Context, now time.Time) (map[string]int, error) {
	if age := now.Sub(m.countedAt); m.activeCounts != nil && age >= 0 && age < m.countAfter {
		return m.activeCounts, nil
	}
	counted, err := m.store.ActiveRuns(ctx)
	if err != nil {
		return nil, err
	}
	m.activeCounts, m.countedAt = counted, now
	m.countAfter = min(time.Duration(tallyOf(counted).total/countedPerSecond)*time.Second, countInterval)
	return counted, nil
}

// reconnectTimeout is how long agents have to connect again before closed connections count as silence of the
// network, because a proxy may have restarted.
const reconnectTimeout = rules.LongConfirmTimeout / 2

// updateHolds delays verdicts while many runs are silent together, and notifies of it. Active runs are counted
// only if enough runs are silent.
func (m *Monitor) updateHolds(ctx context.Context, now time.Time, leases []lease.Lease, closed closings) error {
	silent, silentRuns := map[string]int{}, 0
	for _, l := range leases {
		c := m.circumstances(l, closed, now)
		if c.IsDisconnected(l) && now.Sub(c.Closed.At) < reconnectTimeout {
			c.Closed = lease.Closure{} // the agent may connect again, so only its heartbeats count
		}
		if rules.IsSilent(l, now, c) {
			silent[l.Owner]++
			silentRuns++
		}
	}
	var active map[string]int
	if FellSilentTogether(silentRuns, MinTogether) {
		var err error
		if active, err = m.activeRuns(ctx, now); err != nil {
			return err
		}
	}
	notice := outbox.Entry{Kind: outbox.Notify, Severity: job.Warning, At: now}
	switch m.holds.update(now, silent, active) {
	case holdBegan:
		until, activeRuns := m.holds.until(), tallyOf(active).total
		m.log.Warn("many runs fell silent together: this looks like the network, so none of them is called lost yet",
			"silent", silentRuns, "active", activeRuns, "until", until)
		notice.What = outbox.WhatNetwork
		notice.Message = fmt.Sprintf("%d of %d active runs fell silent together: this looks like the network. None of them is called lost before %s.", silentRuns, activeRuns, rules.Clock(until))
	case holdEnded:
		m.log.Info("most runs report again", "silent", silentRuns)
		notice.What, notice.Ends = outbox.WhatRecovered, outbox.WhatNetwork
		notice.Message = fmt.Sprintf("Most runs report again; %d are still silent.", silentRuns)
	case holdSame:
		return nil
	}
	if err := m.store.Announce(ctx, []outbox.Entry{notice}); err != nil {
		return fmt.Errorf("announce %s: %w", notice.What, err)
	}
	return nil
}

// circumstances returns what the judgement of a run needs besides its lease.
func (m *Monitor) circumstances(l lease.Lease, closed closings, now time.Time) rules.Circumstances {
	closure := l.Closed
	if closure.Confirm > 0 {
		closure.Why = "it was connected to another server"
	}
	if here := closed[attempt{l.Run, l.Attempt}]; here.At.After(closure.At) {
		closure = here
	}
	c := rules.Circumstances{
		Since: m.leadsFrom, Arrived: m.arrived(l.Run, l.Attempt), ExtendedTo: m.trustedUntil,
		Closed: closure, HeldUntil: m.holds.heldUntil(l.Owner, now),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Since = rules.Later(c.Since, m.outages.end())
	if c.Outage = m.outages.since(c.LastSign(l)); c.Outage > 0 {
		c.ExtendedTo = rules.Later(c.ExtendedTo, m.outages.end().Add(rules.TrustAfterOutage(l)))
	}
	return c
}

// judge stores the verdicts that change runs, and returns the earliest deadline of the runs that are not lost.
func (m *Monitor) judge(ctx context.Context, now time.Time, leases []lease.Lease, closed closings) (deadline time.Time, err error) {
	deadline = now.Add(noDeadlineAfter)
	var verdicts []lease.Verdict
	capped := 0
	for _, l := range leases {
		c := m.circumstances(l, closed, now)
		v, changed := rules.Judge(l, now, c, m.policies.of(l.Job))
		if !v.Lost {
			deadline = rules.Earlier(deadline, rules.Deadline(l, c))
		}
		if _, isCapped := rules.LeaseEnd(l, c); isCapped && rules.IsSilent(l, now, c) {
			capped++
		}
		a := attempt{l.Run, l.Attempt}
		if _, here := closed[a]; here && v.Lost && !m.isStillClosed(a) {
			continue
		}
		if changed {
			verdicts = append(verdicts, v)
		}
	}
	m.setCapped(capped)
	return deadline, m.storeVerdicts(ctx, verdicts)
}

// storeVerdicts stores verdicts that change runs.
func (m *Monitor) storeVerdicts(ctx context.Context, verdicts []lease.Verdict) error {
	if len(verdicts) == 0 {
		return nil
	}
	judged, err := m.store.Judge(ctx, verdicts)
	if err != nil {
		return err
	}
	for _, j := range judged {
		if m.changed != nil {
			m.changed(j)
		}
	}
	return nil
}

// storeEvidence stores the evidence that has changed and is due.
func (m *Monitor) storeEvidence(ctx context.Context, now time.Time) error {
	due := m.evidence.due(now)
	if len(due) == 0 {
		return nil
	}
	if err := m.store.StoreEvidence(ctx, due); err != nil {
		return fmt.Errorf("store the evidence of %d runs: %w", len(due), err)
	}
	m.evidence.markStored(due, now)
	return nil
}
