package health

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
)

// Store is the part of the database that the monitor uses.
type Store interface {
	LeaseStore
	PolicyStore
	DiagnosisStore
}

// LeaseStore has the leases of active runs and the verdicts on them.
type LeaseStore interface {
	// Lead reports whether this server judges. Of several servers on one database one does.
	Lead(ctx context.Context) (bool, error)
	// Due returns the active runs whose lease ends before a time, and those that have a finding or a
	// closed connection.
	Due(ctx context.Context, before time.Time, limit int) ([]lease.Lease, error)
	// Active returns a page of the active runs without a finding, and the row after which the next
	// page begins. The first page is after "". After the last page the row is "".
	Active(ctx context.Context, after string, limit int) (leases []lease.Lease, last string, err error)
	// Leases returns the leases of those of some runs that are active.
	Leases(ctx context.Context, runs []string) ([]lease.Lease, error)
	// ResetLeases makes the leases of those of some runs that were granted by a clock that was ahead begin now.
	ResetLeases(ctx context.Context, runs []string, now time.Time) error
	// ActiveRuns counts the active runs of each owner.
	ActiveRuns(ctx context.Context) (map[string]int, error)
	// Waiting returns a page of the runs in the queue, with what is known of workers at a time, and the row after which
	// the next page begins; "" after the last page. FoundWaiting returns those that have a finding.
	Waiting(ctx context.Context, after string, limit int, now time.Time) (page []queue.WaitingRun, last string, err error)
	FoundWaiting(ctx context.Context, limit int, now time.Time) ([]queue.WaitingRun, error)
	// Judge stores verdicts, each only if the run has not reported since, or still waits.
	Judge(ctx context.Context, verdicts []lease.Verdict) ([]lease.VerdictResult, error)
	// NoteClosed reports connections that closed on this server to the server that judges.
	NoteClosed(ctx context.Context, closed []lease.ClosedRun) error
	// StoreEvidence stores evidence, for the server that judges next.
	StoreEvidence(ctx context.Context, evidence []lease.StoredEvidence) error
	// Announce stores outbox entries that do not belong to a run.
	Announce(ctx context.Context, entries []outbox.Entry) error
}

// PolicyStore has the policies of jobs.
type PolicyStore interface {
	// Policies returns all policies and their version, or nil if the version is the one that was
	// seen last.
	Policies(ctx context.Context, seen string) (all []policy.Stored, version string, err error)
	// PolicyFailed records that the policy of a job cannot be read, and PolicyRead that it can.
	PolicyFailed(ctx context.Context, job string, cause error)
	PolicyRead(ctx context.Context, job string)
}

// Config configures a Monitor. Store is required.
type Config struct {
	Store Store
	Log   *slog.Logger     // nil: slog.Default()
	Now   func() time.Time // the server's clock; nil: time.Now
	// Changed is called with each run that a verdict changed. It must not block, and may be nil.
	Changed func(lease.VerdictResult)
	// Arrived returns when the last heartbeat of an attempt arrived at this server that is not stored
	// yet, or could not be stored; zero for none. Stored returns when this server last stored something
	// that an agent sent; zero for never. Both may be nil on a server without heartbeats.
	Arrived func(run string, attempt int) time.Time
	Stored  func() time.Time
}

const (
	// Interval is the time between two rounds.
	Interval = time.Second
	// dueLimit is how long before the end of its lease a run is judged in every round. A run with a
	// period of 5 s or less comes so near to the end only when it is silent.
	dueLimit = 20 * time.Second
	// The other active runs are judged in turns of about pagesPerTurn rounds, from minPage to maxPage
	// runs in a round.
	pagesPerTurn = 10
	minPage      = 100
	maxPage      = 2000
	// Active runs are counted at most once in a time that grows with their number, so that no more than
	// countedPerSecond are counted on average, up to countInterval.
	countedPerSecond = 5000
	countInterval    = 30 * time.Second
	// minInterval is the least time between two rounds, when connections close.
	minInterval = rules.TogetherInterval
	// maxDue is the limit of the leases of a round. The most urgent come first.
	maxDue = 50_000
)

// Monitor judges active runs until its context ends.
type Monitor struct {
	store   Store
	log     *slog.Logger
	now     func() time.Time
	changed func(lease.VerdictResult)
	arrived func(run string, attempt int) time.Time
	stored  func() time.Time

	diagnoser *diagnoser

	lastRound atomic.Pointer[time.Time] // when the last round ended

	mu     sync.Mutex
	closed map[attempt]lease.Disconnect // closed connections because of which runs may be called lost
	recent []lease.Disconnect           // connections that closed recently, in order
	wake   chan struct{}

	runsAt     time.Time // of the last tick
	roundBegan time.Time // of the present round; zero between rounds
	roundEnded time.Time // of the last round that did not fail
	lateAt     time.Time // when the server was last late
	stoppedAt  time.Time // until when the process did not run; zero for never
	outages    outages
	extension  extension

	// Used by the loop only:
	judges       bool      // this server judges
	wasFollower  bool      // another server has judged
	leadsFrom    time.Time // when this server took over from another one
	trustedUntil time.Time // the end of TakeoverGraceAfter
	page         page
	queue        queuePage
	activeCounts map[string]int // active runs by owner at countedAt
	countedAt    time.Time
	countAfter   time.Duration // how long activeCounts is used
	holds        holds
	policies     policies
	evidence     evidenceCache
}

type attempt struct {
	run    string
	number int
}

// New returns a Monitor, which does nothing before Run is called.
func New(c Config) *Monitor {
	m := &Monitor{
		store: c.Store, log: c.Log, now: c.Now, changed: c.Changed, arrived: c.Arrived, stored: c.Stored,
		closed: make(map[attempt]lease.Disconnect), wake: make(chan struct{}, 1), evidence: newEvidenceCache(), holds: holds{},
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.arrived == nil {
		m.arrived = func(string, int) time.Time { return time.Time{} }
	}
	if m.stored == nil {
		m.stored = func() time.Time { return time.Time{} }
	}
	m.diagnoser = newDiagnoser(m.store, m.log, m.changed)
	m.setLastRound()
	return m
}

// LastRound returns when the last round ended, also if it failed; before the first one, when the monitor was
// made.
func (m *Monitor) LastRound() time.Time { return *m.lastRound.Load() }

func (m *Monitor) setLastRound() {
	now := m.now()
	m.lastRound.Store(&now)
}

// wall returns the time without the monotonic clock, which stops while a machine is suspended.
func (m *Monitor) wall() time.Time { return m.now().Round(0) }

// Run judges runs once in Interval, and when a deadline passes, until ctx ends. Beside it, failed and stalled runs
// are diagnosed. It returns when the present round and diagnoses have ended.
func (m *Monitor) Run(ctx context.Context) {
	m.tick(m.wall())
	var beside sync.WaitGroup
	beside.Go(func() { m.diagnoser.run(ctx) })
	beside.Go(func() { m.watchClock(ctx) })
	defer beside.Wait()
	planned := m.wall()
	rounds := periodic.Loop{Apart: minInterval, Wake: m.wake, Now: m.wall, Failures: periodic.Failures{
		Log: m.log, Failing: "runs cannot be judged now; none is called lost meanwhile", Working: "runs are judged again",
	}}
	rounds.RunPaced(ctx, func(now time.Time) (time.Duration, error) {
		m.beginRound(now)
		m.recordLateness(now, now.Sub(planned))
		deadline, err := m.round(ctx, now)
		m.setLastRound()
		end := m.wall()
		if ctx.Err() == nil {
			m.endRound(end, err)
		}
		pause := min(Interval, max(deadline.Sub(end)+time.Millisecond, minInterval)) // a timer may fire early by the clock of now
		planned = end.Add(pause)
		return pause, err
	})
}

// recordLateness records how late a timer of the server was. A slow round is not lateness: while the database is
// slow, a heartbeat counts when it arrives (Config.Arrived).
func (m *Monitor) recordLateness(now time.Time, late time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if late > rules.LatenessLimit {
		m.lateAt = now
	}
}
