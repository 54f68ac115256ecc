package health

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/policy"
)

// Store is what the monitor needs of the database.
type Store interface {
	// Lead reports whether this server judges: of several on one database one does.
	Lead(ctx context.Context) (bool, error)
	// Due returns the active runs whose lease ends before a time, and those that have a
	// finding or a connection that closed.
	Due(ctx context.Context, before time.Time, limit int) ([]lease.Lease, error)
	// Active returns a page of the active runs without a finding, and after which row the
	// next one begins; the first one is after "". A page that is not full is the last one.
	Active(ctx context.Context, after string, limit int) (leases []lease.Lease, last string, err error)
	// Leases returns those of some runs, without the ones that are not active.
	Leases(ctx context.Context, runs []string) ([]lease.Lease, error)
	// ActiveRuns counts the active runs of each owner.
	ActiveRuns(ctx context.Context) (map[string]int, error)
	// Judge stores verdicts, each only if the run has not reported since.
	Judge(ctx context.Context, verdicts []lease.Verdict) ([]lease.VerdictResult, error)
	// NoteClosed reports connections that closed here to the server that judges.
	NoteClosed(ctx context.Context, closed []lease.ClosedRun) error
	// StoreEvidence keeps what was folded, for the server that judges next.
	StoreEvidence(ctx context.Context, folded []lease.StoredEvidence) error
	// Policies returns the policies that were set since the version that was seen last;
	// nil when none was.
	Policies(ctx context.Context, seen string) (all []policy.Stored, version string, err error)
	// PolicyFailed records that the policy of a job cannot be read, and PolicyRead forgets it.
	PolicyFailed(ctx context.Context, job string, cause error)
	PolicyRead(ctx context.Context, job string)
	// Announce stores outbox entries that are about no single run.
	Announce(ctx context.Context, entries []outbox.Entry) error
	DiagnosisStore
}

// Config is what a monitor is made of. Store is required.
type Config struct {
	Store Store
	Log   *slog.Logger     // nil: slog.Default()
	Now   func() time.Time // the server's clock; nil: time.Now
	// Changed is called with each run that a verdict changed. It must not block; it may be
	// nil.
	Changed func(lease.VerdictResult)
	// Arrived returns when the last heartbeat of an attempt arrived at this server that is
	// not stored yet, or could not be; zero for none. Stored returns when something that an
	// agent sent was last stored; zero for never. Both may be nil where no heartbeats arrive.
	Arrived func(run string, attempt int) time.Time
	Stored  func() time.Time
}

const (
	// Every is the pause between two looks.
	Every = time.Second
	// nearEnd is the rest of a lease from which on a run is judged in each round. A run that
	// sends a heartbeat every 5 s or more often comes this near only when it is silent.
	nearEnd = 20 * time.Second
	// The other active runs are judged in turns of about pagesInTurn rounds, with at least
	// pageLeast and at most pageMost in a round.
	pagesInTurn = 10
	pageLeast   = 100
	pageMost    = 2000
	// countInSecond is how many active runs are counted in a second at most, on average, as
	// long as countSeldom is not over.
	countInSecond = 5000
	countSeldom   = 30 * time.Second
	// apart is the least time between two rounds, when many connections close at once.
	apart = TogetherWithin
	// most bounds the leases of one round; the most urgent come first.
	most = 50_000
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
	closed map[attempt]lease.Disconnect // connections that closed and may still end runs
	recent []lease.Disconnect           // connections that closed of late, in order
	wake   chan struct{}

	runsAt                 time.Time // when the process was last seen to run
	roundBegan, roundEnded time.Time // of the round under way, or zero; of the last one that did not fail
	outages                outages
	extension              extension

	// Of the loop alone:
	lateAt                  time.Time // when the server was last late
	judges                  bool      // this server judges
	waited                  bool      // another server judged until now
	leadsFrom, trustedUntil time.Time // when another server handed over, and the end of TakeoverGrace
	page                    page
	counted                 map[string]int // active runs of each owner at countedAt, to be counted again after countAgain
	countedAt               time.Time
	countAgain              time.Duration
	holds                   holds
	policies                policies
	folded                  folds
}

type attempt struct {
	run    string
	number int
}

// New makes a monitor; Run starts it.
func New(c Config) *Monitor {
	m := &Monitor{
		store: c.Store, log: c.Log, now: c.Now, changed: c.Changed, arrived: c.Arrived, stored: c.Stored,
		closed: make(map[attempt]lease.Disconnect), wake: make(chan struct{}, 1), folded: newFolds(), holds: holds{},
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
	m.endedRound()
	return m
}

// LastRound returns when the last round ended, also when it failed, and before the first one when
// the monitor was made.
func (m *Monitor) LastRound() time.Time { return *m.lastRound.Load() }

func (m *Monitor) endedRound() {
	now := m.now()
	m.lastRound.Store(&now)
}

// wall is the time without the monotonic part, which stands still while a machine sleeps.
func (m *Monitor) wall() time.Time { return m.now().Round(0) }

// Run makes a round once a second, and when a deadline passes, until ctx ends. Runs that ended
// badly are diagnosed beside it. It returns when the round and the diagnoses under way have ended.
func (m *Monitor) Run(ctx context.Context) {
	m.tick(m.wall())
	var beside sync.WaitGroup
	beside.Go(func() { m.diagnoser.run(ctx) })
	beside.Go(func() { m.watchClock(ctx) })
	defer beside.Wait()
	planned := m.wall()
	rounds := periodic.Loop{Apart: apart, Wake: m.wake, Now: m.wall, Failures: periodic.Failures{
		Log: m.log, Failing: "runs cannot be judged now; nobody is called lost meanwhile", Working: "runs are judged again",
	}}
	rounds.RunPaced(ctx, func(now time.Time) (time.Duration, error) {
		m.beginRound(now)
		m.noteLateness(now, now.Sub(planned))
		deadline, err := m.round(ctx, now)
		m.endedRound()
		end := m.wall()
		if ctx.Err() == nil {
			m.endRound(end, err)
		}
		pause := min(Every, max(deadline.Sub(end)+time.Millisecond, apart)) // a moment more: clocks differ
		planned = end.Add(pause)
		return pause, err
	})
}

// noteLateness takes how late a timer of the server was. A look that takes long says nothing: while
// the database is slow, a heartbeat counts from its arrival (Config.Arrived).
func (m *Monitor) noteLateness(now time.Time, late time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if late > MostLate {
		m.lateAt = now
	}
}
