package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// farAhead is after the end of every lease.
const farAhead = 10 * 365 * 24 * time.Hour

// round decides on the runs that are due, and stores the verdicts. It returns the earliest
// deadline of a run that was judged, or a time after the next round.
func (m *Monitor) round(ctx context.Context, now time.Time) (deadline time.Time, err error) {
	deadline = now.Add(farAhead)
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
	if err := m.watchTogether(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	m.dropClosed(leases, closed)
	if deadline, err = m.judge(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	if err := m.keepEvidence(ctx, now); err != nil {
		return deadline, err
	}
	return deadline, nil
}

// follow is the round of a server that does not judge: it reports what only it can see, once
// it knows how many connections closed together. The clock of the server that judges is
// another one: it takes its time to confirm.
func (m *Monitor) follow(ctx context.Context, now time.Time) error {
	if m.judges {
		m.log.Info("another server judges runs now")
	}
	m.judges, m.waited = false, true
	var closed []lease.ClosedRun
	for a, c := range m.closedNow() {
		if now.Sub(c.At) < TogetherWithin {
			continue // the next round reports it
		}
		if c.Confirm > 0 {
			c.Confirm = max(c.Confirm, ConfirmDoubt)
		}
		closed = append(closed, lease.ClosedRun{Run: a.run, Attempt: a.number, Closure: c})
	}
	if len(closed) == 0 {
		return nil
	}
	if err := m.store.NoteClosed(ctx, closed); err != nil {
		return fmt.Errorf("report %d closed connections: %w", len(closed), err)
	}
	m.forget(closed)
	return nil
}

// lead begins to judge, unless this server does already.
func (m *Monitor) lead(now time.Time) {
	if m.judges {
		return
	}
	if m.waited {
		m.leadsFrom, m.trustedUntil = now, now.Add(TakeoverGrace)
		m.log.Info("this server judges runs now")
	}
	m.folded = newFolds() // what was folded meanwhile is in the store
	m.judges, m.page = true, page{}
}

// due reads the leases of this round: those that are due, those whose connection closed, and a
// page of all others.
func (m *Monitor) due(ctx context.Context, now time.Time, closed closings) ([]lease.Lease, error) {
	leases, err := m.store.Due(ctx, now.Add(nearEnd), most)
	if err != nil {
		return nil, err
	}
	others, err := m.nextPage(ctx)
	if err != nil {
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
		leases[i].Evidence = m.folded.fold(leases[i])
	}
	return leases, nil
}

// addLeases appends the leases of attempts that are not there yet.
func addLeases(to, more []lease.Lease, there map[attempt]bool) []lease.Lease {
	for _, l := range more {
		if a := (attempt{l.Run, l.Attempt}); !there[a] {
			there[a] = true
			to = append(to, l)
		}
	}
	return to
}

// page is how far the monitor is with all active runs in turns.
type page struct {
	after string // the row after which the next page begins
	n     int    // runs on the pages of this turn
	pages int    // how many those are
	size  int    // runs on a page; 0 for pageMost, in the first turn
}

// nextPage reads the next of the healthy runs. A page is a tenth of all, within bounds: what a
// round costs does not grow with the number of runs, the time for one turn does.
func (m *Monitor) nextPage(ctx context.Context) ([]lease.Lease, error) {
	p := &m.page
	size := p.size
	if size == 0 {
		size = pageMost
	}
	leases, last, err := m.store.Active(ctx, p.after, size)
	if err != nil {
		return nil, err
	}
	p.after, p.n, p.pages = last, p.n+len(leases), p.pages+1
	if p.pages >= pagesInTurn { // there are more runs than in the turn before
		p.size = min(2*size, pageMost)
	}
	if last == "" { // the turn ends
		*p = page{size: min(max(p.n/pagesInTurn, pageLeast), pageMost)}
		m.folded.endTurn()
	}
	return leases, nil
}

// activeRuns counts the active runs of each owner, the seldomer the more there are.
func (m *Monitor) activeRuns(ctx context.Context, now time.Time) (map[string]int, error) {
	if age := now.Sub(m.countedAt); m.counted != nil && age >= 0 && age < m.countAgain {
		return m.counted, nil
	}
	counted, err := m.store.ActiveRuns(ctx)
	if err != nil {
		return nil, err
	}
	m.counted, m.countedAt = counted, now
	m.countAgain = min(time.Duration(tallyOf(counted).total/countInSecond)*time.Second, countSeldom)
	return counted, nil
}

// reconnect is how long agents have to come back, all of whose connections closed at once,
// before that is called the network's trouble: something between may have restarted.
const reconnect = ConfirmDoubt / 2

// watchTogether holds the verdicts while many are silent together. The active are counted
// only when enough are silent for that to matter.
func (m *Monitor) watchTogether(ctx context.Context, now time.Time, leases []lease.Lease, closed closings) error {
	silent, silentRuns := map[string]int{}, 0
	for _, l := range leases {
		c := m.circumstances(l, closed, now)
		if c.closed(l) && now.Sub(c.Closed.At) < reconnect {
			c.Closed = lease.Closure{} // it may be back in a moment: its heartbeats alone count
		}
		if Silent(l, now, c) {
			silent[l.Owner]++
			silentRuns++
		}
	}
	var active map[string]int
	if FellSilentTogether(silentRuns, TogetherAtLeast) {
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
		notice.Message = fmt.Sprintf("%d of %d active runs fell silent together: this looks like the network. None of them is called lost before %s.", silentRuns, activeRuns, clock(until))
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

func (m *Monitor) circumstances(l lease.Lease, closed closings, now time.Time) Circumstances {
	closure := l.Closed
	if closure.Confirm > 0 {
		closure.Why = "another server saw that"
	}
	if here := closed[attempt{l.Run, l.Attempt}]; here.At.After(closure.At) {
		closure = here
	}
	c := Circumstances{
		Since: m.leadsFrom, Arrived: m.arrived(l.Run, l.Attempt), ExtendedTo: m.trustedUntil,
		Closed: closure, HeldUntil: m.holds.heldUntil(l.Owner, now),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Since = later(c.Since, m.outages.end())
	if c.Outage = m.outages.since(c.lastSign(l)); c.Outage > 0 {
		c.ExtendedTo = later(c.ExtendedTo, m.outages.end().Add(trustAfterOutage(l)))
	}
	return c
}

// judge stores what is new about runs, and returns the earliest deadline of those that are
// not lost.
func (m *Monitor) judge(ctx context.Context, now time.Time, leases []lease.Lease, closed closings) (deadline time.Time, err error) {
	deadline = now.Add(farAhead)
	var verdicts []lease.Verdict
	capped := 0
	for _, l := range leases {
		c := m.circumstances(l, closed, now)
		v, changed := Judge(l, now, c, m.policies.of(l.Job))
		if !v.Lost {
			deadline = earlier(deadline, Deadline(l, c))
		}
		if _, over := LeaseEnd(l, c); over && Silent(l, now, c) {
			capped++
		}
		a := attempt{l.Run, l.Attempt}
		if _, here := closed[a]; here && v.Lost && !m.stillClosed(a) {
			continue
		}
		if changed {
			verdicts = append(verdicts, v)
		}
	}
	m.setCapped(capped)
	if len(verdicts) == 0 {
		return deadline, nil
	}
	judged, err := m.store.Judge(ctx, verdicts)
	if err != nil {
		return deadline, err
	}
	for _, j := range judged {
		if m.changed != nil {
			m.changed(j)
		}
	}
	return deadline, nil
}

// keepEvidence stores what was folded since it was stored last.
func (m *Monitor) keepEvidence(ctx context.Context, now time.Time) error {
	unsaved := m.folded.unsaved(now)
	if len(unsaved) == 0 {
		return nil
	}
	if err := m.store.StoreEvidence(ctx, unsaved); err != nil {
		return fmt.Errorf("store the evidence of %d runs: %w", len(unsaved), err)
	}
	m.folded.saved(unsaved, now)
	return nil
}
