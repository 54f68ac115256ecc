package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stint.dev/stint/internal/index"
)

// Store is what the monitor needs of the database.
type Store interface {
	// Due returns the active runs whose lease ends before a time, and those that have a
	// finding.
	Due(ctx context.Context, before time.Time, limit int) ([]index.Lease, error)
	// Judge stores verdicts, each only if the run was not heard of since.
	Judge(ctx context.Context, verdicts []index.Verdict) ([]index.Judged, error)
	// ExtendLeases gives every active run a lease of at least until.
	ExtendLeases(ctx context.Context, until time.Time) error
}

// Config is what a monitor is made of. Store is required.
type Config struct {
	Store Store
	Log   *slog.Logger     // nil: slog.Default()
	Now   func() time.Time // the server's clock; nil: time.Now
	// Changed is told of each run that a verdict changed. It must not block; it may be
	// nil.
	Changed func(index.Judged)
}

const (
	// Every is the pause between two looks.
	Every = time.Second
	// Late is how much later than planned a look may come. Beyond that the server
	// itself was away or behind, and what it did not hear counts against nobody.
	Late = 3 * time.Second
	// Grace is how long every run is trusted after the server was away.
	Grace = time.Minute
	// nearEnd is the rest of a lease at which a run is looked at each time. A run that
	// beats every 5 s or more often comes this near only when it is silent. Those with
	// longer leases are looked at every sweepEvery looks.
	nearEnd    = 9 * time.Second
	sweepEvery = 10
	// apart is the least time between two looks, when many connections close at once.
	apart = 200 * time.Millisecond
	// most bounds the leases of one look; the most urgent come first.
	most = 50_000
)

// Monitor judges active runs until its context ends.
type Monitor struct {
	store   Store
	log     *slog.Logger
	now     func() time.Time
	changed func(index.Judged)

	mu   sync.Mutex
	gone map[attempt]time.Time // closed connections that are not settled yet
	wake chan struct{}

	// Of the loop alone:
	since    time.Time // the server listens without a break since then; zero: leases are to be extended
	looks    int
	hold     hold
	lastFail string
}

type attempt struct {
	run    string
	number int
}

// New makes a monitor; Run starts it.
func New(c Config) *Monitor {
	m := &Monitor{
		store: c.Store, log: c.Log, now: c.Now, changed: c.Changed,
		gone: make(map[attempt]time.Time), wake: make(chan struct{}, 1),
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

// AgentGone says that the connection closed on which an attempt kept sending heartbeats.
// It never blocks.
func (m *Monitor) AgentGone(run string, number int) {
	m.mu.Lock()
	m.gone[attempt{run, number}] = m.wall()
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// wall is the time without the monotonic part, which stands still while a machine sleeps.
func (m *Monitor) wall() time.Time { return m.now().Round(0) }

// Run looks once a second until ctx ends. It returns when the look that is going on has
// ended.
func (m *Monitor) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	planned := m.wall()
	looked := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-m.wake:
			if rest := apart - m.wall().Sub(looked); rest > 0 {
				timer.Reset(min(rest, apart))
				continue
			}
		}
		now := m.wall()
		looked = now
		if late := now.Sub(planned); late > Late && !m.since.IsZero() {
			m.log.Warn("the server was away or behind: leases are extended", "late", late.Round(time.Millisecond), "grace", Grace)
			m.since = time.Time{}
		}
		m.tell(ctx, m.look(ctx, now))
		planned = now.Add(Every)
		timer.Reset(Every)
	}
}

// tell logs that looks fail, and that they work again, once each.
func (m *Monitor) tell(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && m.lastFail == "" {
		m.log.Error("runs cannot be judged now; nobody is called lost meanwhile", "error", err)
	}
	if err == nil && m.lastFail != "" {
		m.log.Info("runs are judged again")
	}
	m.lastFail = text
}

// look is one round: who is due, what is the verdict, store it. After an error the server
// could not know who beat, so the next round begins with extended leases.
func (m *Monitor) look(ctx context.Context, now time.Time) (err error) {
	defer func() {
		if err != nil {
			m.since = time.Time{}
		}
	}()
	if m.since.IsZero() {
		if err := m.store.ExtendLeases(ctx, now.Add(Grace)); err != nil {
			return fmt.Errorf("extend leases: %w", err)
		}
		m.since = now
		m.forgetGone()
	}
	m.looks++
	gone := m.goneNow()
	horizon := now.Add(nearEnd)
	if m.looks%sweepEvery == 1 || len(gone) > 0 || m.hold.on {
		horizon = now.Add(10 * 365 * 24 * time.Hour)
	}
	leases, err := m.store.Due(ctx, horizon, most)
	if err != nil {
		return fmt.Errorf("read leases: %w", err)
	}
	if err := m.watchTogether(ctx, now, leases, gone); err != nil {
		return err
	}
	m.settle(leases, gone)
	return m.judge(ctx, now, leases, gone)
}

// watchTogether holds the verdicts while many are silent together. The active are counted
// only when enough are silent for that to matter.
func (m *Monitor) watchTogether(ctx context.Context, now time.Time, leases []index.Lease, gone map[attempt]time.Time) error {
	silent := 0
	for _, l := range leases {
		if Silent(l, now, m.circumstances(l, gone, now)) {
			silent++
		}
	}
	active := 0
	if FellSilentTogether(silent, TogetherAtLeast) {
		all, err := m.store.Due(ctx, now.Add(10*365*24*time.Hour), most)
		if err != nil {
			return fmt.Errorf("count active runs: %w", err)
		}
		active = len(all)
	}
	switch m.hold.update(now, silent, active) {
	case holdBegan:
		m.log.Warn("many runs fell silent together: this looks like the network, so none is called lost yet",
			"silent", silent, "active", active, "until", m.hold.until)
	case holdEnded:
		m.log.Info("most runs are heard again", "silent", silent)
	case holdSame:
	}
	return nil
}

func (m *Monitor) circumstances(l index.Lease, gone map[attempt]time.Time, now time.Time) Circumstances {
	return Circumstances{Since: m.since, GoneAt: gone[attempt{l.Run, l.Attempt}], HeldUntil: m.hold.heldUntil(now)}
}

func (m *Monitor) judge(ctx context.Context, now time.Time, leases []index.Lease, gone map[attempt]time.Time) error {
	var verdicts []index.Verdict
	for _, l := range leases {
		if v, changed := Judge(l, now, m.circumstances(l, gone, now)); changed {
			verdicts = append(verdicts, v)
		}
	}
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

// goneNow is a copy of the closed connections that are not settled.
func (m *Monitor) goneNow() map[attempt]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.gone) == 0 {
		return nil
	}
	out := make(map[attempt]time.Time, len(m.gone))
	for a, at := range m.gone {
		out[a] = at
	}
	return out
}

func (m *Monitor) forgetGone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.gone)
}

// settle forgets closed connections of attempts that were heard again, or that are not
// active any more: ended, lost or superseded.
func (m *Monitor) settle(leases []index.Lease, gone map[attempt]time.Time) {
	if len(gone) == 0 {
		return
	}
	open := make(map[attempt]bool)
	for _, l := range leases {
		a := attempt{l.Run, l.Attempt}
		if at, ok := gone[a]; ok && (Circumstances{GoneAt: at}).gone(l) {
			open[a] = true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for a, at := range gone {
		if !open[a] && m.gone[a].Equal(at) {
			delete(m.gone, a)
		}
	}
}
