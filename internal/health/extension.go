package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/periodic"
)

// Extension is whether and why leases are extended: silent runs are called lost later, because the server
// could not accept heartbeats for a while.
type Extension struct {
	// Since is when the first outage began because of which leases are extended; zero if they are
	// not. Cause is the reason as a clause.
	Since time.Time
	Cause string
	// Outages and Seconds are the number and the length of all outages since the server started,
	// without the start.
	Outages int64
	Seconds float64
	// Capped is for how many silent runs the last round did not extend the lease, although there was
	// an outage within rules.GraceAfter, because it had been extended as far as possible.
	Capped int
}

// extension is the state of an Extension. Monitor.mu guards it.
type extension struct {
	Extension
	until   time.Time // when leases are not extended any longer
	outages int64     // Outages when the extension began
	seconds float64   // Seconds when the extension began
}

// Extension returns whether leases are extended, for metrics and /readyz.
func (m *Monitor) Extension() Extension {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.extension.Extension
}

// watchClock detects until ctx ends that the process did not run. It does not wait for rounds, which may
// take long.
func (m *Monitor) watchClock(ctx context.Context) {
	periodic.Loop{Every: tickInterval, First: tickInterval, Now: m.wall}.Run(ctx, func(now time.Time) error {
		m.tick(now)
		return nil
	})
}

// tick records that the process runs at now. It is called at least once in tickInterval, so a longer
// interruption is an outage. When the clock is set back, all earlier times are dropped.
func (m *Monitor) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.runsAt
	m.runsAt = now
	switch gap := now.Sub(before); {
	case before.IsZero():
		m.outages.add(time.Time{}, now)
	case gap > tickInterval+LateLimit:
		m.addOutage(before.Add(tickInterval), now, "the server did not run, or its clock was set")
		m.stoppedAt = now
	case gap < -LateLimit:
		m.outages = nil
		m.addOutage(now.Add(-LateLimit), now, "the server's clock was set back")
		m.outages = outages{{to: now}}
	}
	if began := rules.Later(m.roundBegan, m.stored()); !m.roundBegan.IsZero() && now.Sub(began) > HungAfter {
		m.addOutage(began, now, "the database does not respond")
	}
	if e := &m.extension; !e.Since.IsZero() && !now.Before(e.until) {
		m.log.Info("leases are not extended any more", "after", now.Sub(e.Since).Round(time.Second),
			"outages", e.Outages-e.outages, "no_heartbeats_for", fmt.Sprintf("%.1fs", e.Seconds-e.seconds))
		e.Since, e.Cause = time.Time{}, ""
	}
}

// addOutage adds an outage with its cause. The connections that closed meanwhile are dropped, because agents
// that cannot reach the server close them too. The caller holds mu.
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
		m.log.Warn("leases are extended, because heartbeats could not be accepted", "cause", cause,
			"for", to.Sub(from).Round(time.Millisecond), "until", rules.Clock(to.Add(rules.GraceAfter)))
	}
	if own {
		e.Outages++
	}
	e.Seconds += length.Seconds()
	e.until = to.Add(rules.GraceAfter)
}

// beginRound and endRound record a round of the monitor. A round that fails is an outage, because what agents
// send is stored in the same database. A slow round is not, because heartbeats count when they arrive; but see
// HungAfter.
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
		m.addOutage(rules.Later(m.roundEnded, m.roundBegan.Add(-Interval)), now, "the database failed")
	}
	m.roundBegan = time.Time{}
}

// setCapped sets Extension.Capped.
func (m *Monitor) setCapped(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.extension.Capped = n
}
