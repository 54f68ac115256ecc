package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// farAhead is after the end of every lease.
const farAhead = 10 * 365 * 24 * time.Hour

// look is one round: who is due, what is the verdict, store it. It returns the earliest
// deadline of a run that was judged, or a time after the next round.
func (m *Monitor) look(ctx context.Context, now time.Time) (deadline time.Time, err error) {
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
	leases, swept, err := m.due(ctx, now, len(closed) > 0)
	if err != nil {
		return deadline, fmt.Errorf("read leases: %w", err)
	}
	if err := m.policies.refresh(ctx, now, m.store); err != nil {
		return deadline, fmt.Errorf("read policies: %w", err)
	}
	if err := m.watchTogether(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	m.settle(leases, closed)
	if deadline, err = m.judge(ctx, now, leases, closed); err != nil {
		return deadline, err
	}
	if err := m.keepEvidence(ctx, now, swept, leases); err != nil {
		return deadline, err
	}
	return deadline, nil
}

// follow is the round of a server that does not judge: it tells what only it can see, once
// it knows how many connections closed together. The clock of the server that judges is
// another one: it takes its time to confirm.
func (m *Monitor) follow(ctx context.Context, now time.Time) error {
	if m.judges {
		m.log.Info("another server judges runs now")
	}
	m.judges, m.waited = false, true
	var told []index.ClosedRun
	for a, c := range m.closedNow() {
		if now.Sub(c.At) < TogetherWithin {
			continue // the next round tells it
		}
		if c.Confirm > 0 {
			c.Confirm = max(c.Confirm, ConfirmDoubt)
		}
		told = append(told, index.ClosedRun{Run: a.run, Attempt: a.number, Closure: c})
	}
	if len(told) == 0 {
		return nil
	}
	if err := m.store.NoteClosed(ctx, told); err != nil {
		return fmt.Errorf("tell of %d closed connections: %w", len(told), err)
	}
	m.forget(told)
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
	m.folded = folds{} // what was folded meanwhile is in the store
	m.judges, m.sweepIn = true, 0
}

// due reads the leases of this round, and whether they are all there are.
func (m *Monitor) due(ctx context.Context, now time.Time, all bool) ([]index.Lease, bool, error) {
	m.looks++
	m.sweepIn--
	swept := all || m.holds.on() || m.sweepIn <= 0
	horizon := now.Add(nearEnd)
	if swept {
		horizon = now.Add(farAhead)
	}
	leases, err := m.store.Due(ctx, horizon, most)
	if err == nil && swept {
		m.sweepIn = min(max((len(leases)+sweepAtOnce-1)/sweepAtOnce, 1), sweepSlowest)
	}
	for i := range leases {
		leases[i].Evidence = m.folded.fold(leases[i])
	}
	return leases, swept, err
}

// reconnect is how long agents have to come back, all of whose connections closed at once,
// before that is called the network's trouble: something between may have restarted.
const reconnect = ConfirmDoubt / 2

// watchTogether holds the verdicts while many are silent together. The active are counted
// only when enough are silent for that to matter.
func (m *Monitor) watchTogether(ctx context.Context, now time.Time, leases []index.Lease, closed closings) error {
	silent, silentRuns := map[string]int{}, 0
	for _, l := range leases {
		c := m.circumstances(l, closed, now)
		if c.closed(l) && now.Sub(c.Closed.At) < reconnect {
			c.Closed = index.Closure{} // it may be back in a moment: its heartbeats alone count
		}
		if Silent(l, now, c) {
			silent[l.Owner]++
			silentRuns++
		}
	}
	var active map[string]int
	if FellSilentTogether(silentRuns, TogetherAtLeast) {
		var err error
		if active, err = m.store.ActiveRuns(ctx); err != nil {
			return err
		}
	}
	notice := index.OutboxEntry{Kind: index.OutboxNotify, Severity: job.Warning, At: now}
	switch m.holds.update(now, silent, active) {
	case holdBegan:
		until, activeRuns := m.holds.until(), tallyOf(active).total
		m.log.Warn("many runs fell silent together: this looks like the network, so none of them is called lost yet",
			"silent", silentRuns, "active", activeRuns, "until", until)
		notice.What = index.WhatNetwork
		notice.Message = fmt.Sprintf("%d of %d active runs fell silent together: this looks like the network. None of them is called lost before %s.", silentRuns, activeRuns, clock(until))
	case holdEnded:
		m.log.Info("most runs are heard again", "silent", silentRuns)
		notice.What, notice.Ends = index.WhatRecovered, index.WhatNetwork
		notice.Message = fmt.Sprintf("Most runs are heard again; %d are still silent.", silentRuns)
	case holdSame:
		return nil
	}
	if err := m.store.Announce(ctx, []index.OutboxEntry{notice}); err != nil {
		return fmt.Errorf("announce %s: %w", notice.What, err)
	}
	return nil
}

func (m *Monitor) circumstances(l index.Lease, closed closings, now time.Time) Circumstances {
	closure := l.Closed
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
	if c.Outage = m.outages.since(c.heard(l)); c.Outage > 0 {
		c.ExtendedTo = later(c.ExtendedTo, m.outages.end().Add(trustAfterOutage(l)))
	}
	return c
}

// judge stores what is new about runs, and returns the earliest deadline of those that are
// not lost.
func (m *Monitor) judge(ctx context.Context, now time.Time, leases []index.Lease, closed closings) (deadline time.Time, err error) {
	deadline = now.Add(farAhead)
	var verdicts []index.Verdict
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

// keepEvidence stores what was folded since it was stored last, and forgets the runs that
// are over.
func (m *Monitor) keepEvidence(ctx context.Context, now time.Time, swept bool, leases []index.Lease) error {
	if swept && len(leases) < most {
		m.folded.forget(leases)
	}
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
