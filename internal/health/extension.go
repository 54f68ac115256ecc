package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/periodic"
)

// Extension says whether, and why, leases are extended at present: silent runs are called
// lost later, because the server itself could take no heartbeats for a while.
type Extension struct {
	// Since is when the first outage of the present episode began; zero while no lease is
	// extended. Cause says why, in one clause.
	Since time.Time
	Cause string
	// Outages and Seconds count all outages since the server started, its start not among
	// them.
	Outages int64
	Seconds float64
	// Capped is how many silent runs the last round did not trust any longer, although
	// there was an outage within Grace: they used up what a lease can be extended by.
	Capped int
}

// extension is the state behind Extension; Monitor.mu guards it.
type extension struct {
	Extension
	until   time.Time // without a further outage, the end of the episode
	outages int64     // when it began
	seconds float64
}

// Extension returns the present state, for metrics and /readyz.
func (m *Monitor) Extension() Extension {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.extension.Extension
}

// watchClock notes outages of the process itself until ctx ends. A round may take long; this
// does not wait for it.
func (m *Monitor) watchClock(ctx context.Context) {
	periodic.Loop{Every: tickEvery, First: tickEvery, Now: m.wall}.Run(ctx, func(now time.Time) error {
		m.tick(now)
		return nil
	})
}

// tick notes that the process runs at now. It is called at least once in tickEvery; a longer
// break is an outage. When the clock is set back, earlier times are of no use.
func (m *Monitor) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.runsAt
	m.runsAt = now
	switch gap := now.Sub(before); {
	case before.IsZero():
		m.outages.add(time.Time{}, now)
	case gap > tickEvery+Late:
		m.addOutage(before.Add(tickEvery), now, "the server did not run, or its clock was set")
	case gap < -Late:
		m.outages = nil
		m.addOutage(now.Add(-Late), now, "the server's clock was set back")
		m.outages = outages{{to: now}}
	}
	if began := later(m.roundBegan, m.stored()); !m.roundBegan.IsZero() && now.Sub(began) > Hung {
		m.addOutage(began, now, "the database does not answer")
	}
	if e := &m.extension; !e.Since.IsZero() && !now.Before(e.until) {
		m.log.Info("leases are not extended any more", "after", now.Sub(e.Since).Round(time.Second),
			"outages", e.Outages-e.outages, "no_heartbeats_for", fmt.Sprintf("%.1fs", e.Seconds-e.seconds))
		e.Since, e.Cause = time.Time{}, ""
	}
}

// addOutage notes that no heartbeats could be taken, and why. Connections that closed
// meanwhile say nothing: agents that could not reach the server close them as well. The
// caller holds mu.
func (m *Monitor) addOutage(from, to time.Time, cause string) {
	known := m.outages.since(from)
	own := m.outages.add(from, to)
	length := m.outages.since(from) - known
	if length <= 0 {
		return
	}
	clear(m.closed)
	e := &m.extension
	if e.Since.IsZero() {
		e.Since, e.Cause, e.outages, e.seconds = from, cause, e.Outages, e.Seconds
		own = true
		m.log.Warn("leases are extended: heartbeats could not be taken", "cause", cause,
			"for", to.Sub(from).Round(time.Millisecond), "until", clock(to.Add(Grace)))
	}
	if own {
		e.Outages++
	}
	e.Seconds += length.Seconds()
	e.until = to.Add(Grace)
}

// beginRound and endRound note the rounds of the monitor. One that failed is an outage: what
// agents send goes through the same database. One that is only slow is none, because heartbeats
// count when they arrive; but see Hung.
func (m *Monitor) beginRound(now time.Time) {
	m.tick(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roundBegan = now
}

func (m *Monitor) endRound(now time.Time, err error) {
	m.tick(now)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.roundEnded = now
	} else {
		m.addOutage(later(m.roundEnded, m.roundBegan.Add(-Every)), now, "the database failed")
	}
	m.roundBegan = time.Time{}
}

// setCapped notes how many silent runs are not trusted any longer although leases are extended.
func (m *Monitor) setCapped(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.extension.Capped = n
}
