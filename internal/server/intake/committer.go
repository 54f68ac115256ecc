package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

// Limits of the committer. A request that finds the queue full is refused, and its agent retries
// later.
const (
	queueEntries  = 8192
	queueBytes    = 64 << 20
	groupEntries  = 1024
	groupBytes    = 16 << 20
	commitTimeout = 30 * time.Second
	// newJobRetryLimit is the longest Retry-After for an append that would create a job too many.
	newJobRetryLimit = time.Minute
	// commitTries is how many single commits in a row may fail before the rest of a failed group
	// fails with them: then the cause is the database, and not one entry.
	commitTries = 3
	// Limits of one run, in the queue and in a group. An agent sends one append and one heartbeat at
	// a time, so a run with more entries has many clients or a faulty one.
	runEntries    = 64
	runBytes      = queueBytes / 4
	runGroupBytes = groupBytes / 4
	// Limits of one owner, which is a token or an address. Those of a group apply only while others
	// wait.
	ownerEntries      = queueEntries / 4
	ownerBytes        = queueBytes / 4
	ownerGroupBytes   = groupBytes / 4
	ownerGroupEntries = groupEntries / 4
)

// Clients that get their replies at the same time send their next requests at the same time. After
// a group of at least gatherFrom entries the committer waits until gatherShare of that number, and
// of those that wait already, have arrived, but no longer than gatherTimeout. Otherwise the first
// request would be a group of its own, and all others would wait for its commit.
const (
	gatherFrom    = 8
	gatherShare   = 0.75
	gatherTimeout = 4 * time.Millisecond
)

// committer makes appends and beats durable in groups. When it is idle, it commits an entry at once;
// while a commit runs, the entries of the next group arrive. Its method run has three loops: renewAll
// answers the beats that need no transaction and queues the others, and commitAll commits these in one loop,
// and appends in another. So a beat waits for no group of appends, but for one that has its own run: their transactions
// would wait for each other's rows.
type committer struct {
	renew    func([]lease.Beat) []*lease.BeatResult
	ingest   func(context.Context, []index.Append, []lease.Beat) ([]index.Appended, []lease.BeatResult, error)
	durable  callbacks
	counters *counters
	now      func() time.Time

	// Places in the queues for appends, for beats that arrived and for beats that need a
	// transaction, and the bytes of queued appends.
	appendRoom, arrivedRoom, beatRoom, byteRoom *shares.Shares

	newJobs *shares.Rate // jobs of new names that each owner has created

	arrivals arrivals // beats that are not stored

	mu        sync.Mutex
	arrived   []*entry             // beats that no loop has taken yet
	queue     []*entry             // appends
	beats     []*entry             // beats that need a transaction
	ahead     map[string]int       // by run: its beats that need a transaction and are not answered; its appends wait for them
	appending map[string]bool      // the runs of the current group of appends; their beats wait for it
	storedAt  time.Time            // when a group was last committed
	bytes     int64                // of the queued appends
	runs      map[string]share     // what each run has in the queue
	owners    map[shares.Owner]int // how many appends each owner has in the queue
	closed    bool                 // entries are refused
	failed    int                  // how many commits in a row have failed
	failedAt  time.Time            // when the last of them failed
	renewing  worker               // state of renewAll
	beating   worker               // state of commitAll for beats
	writing   worker               // state of commitAll for appends
	abort     context.CancelFunc   // fails the running commits and later ones; nil before run
	ended     chan struct{}        // closed when run returns
}

// entry is one append or one beat with its result. ready is closed when the result is set.
type entry struct {
	append *index.Append
	beat   *lease.Beat
	owner  shares.Owner
	places []*shares.Place

	appended index.Appended
	renewed  lease.BeatResult
	err      error
	ready    chan struct{}
}

// share is how much of a queue or group belongs to one run or owner.
type share struct {
	entries int
	bytes   int64
}

// callbacks are called for entries that are durable.
type callbacks struct {
	append func(index.Append, index.Appended)
	beat   func(lease.Beat, lease.BeatResult)
}

// newCommitter returns a committer. Entries wait until run is called.
func newCommitter(store Store, durable callbacks, m *counters, now func() time.Time, newJobs int) *committer {
	return &committer{
		arrivals: arrivals{at: map[attemptKey]time.Time{}},
		renew:    store.Renew,
		ingest:   store.Ingest, durable: durable, counters: m, now: now,
		runs: map[string]share{}, owners: map[shares.Owner]int{}, ahead: map[string]int{},
		appendRoom:  shares.New(shares.Limits{All: queueEntries, Token: ownerEntries, Address: ownerEntries}, now),
		arrivedRoom: shares.New(shares.Limits{All: queueEntries, Token: ownerEntries, Address: ownerEntries}, now),
		beatRoom:    shares.New(shares.Limits{All: queueEntries, Token: ownerEntries, Address: ownerEntries}, now),
		newJobs:     shares.NewRate(newJobs, time.Hour, now),
		byteRoom:    shares.New(shares.Limits{All: queueBytes, Token: ownerBytes, Address: ownerBytes}, now),
		renewing:    newWorker(now()),
		beating:     newWorker(now()),
		writing:     newWorker(now()),
		ended:       make(chan struct{}),
	}
}

// run answers entries until the committer is closed and has answered all that it accepted. When ctx
// ends, the committer closes, the running commits fail, and the other entries are answered with their
// error. It must be called once.
func (c *committer) run(ctx context.Context) {
	defer close(c.ended)
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	c.mu.Lock()
	c.abort = abort
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, c.refuse)
	defer stop()
	var loops sync.WaitGroup
	loops.Go(c.renewAll)
	loops.Go(func() { c.commitAll(ctx, &c.beating, c.takeBeats, c.beatCount) })
	loops.Go(func() { c.commitAll(ctx, &c.writing, c.takeAppends, c.appendCount) })
	loops.Wait()
}

// append waits until a is durable or refused.
func (c *committer) append(ctx context.Context, a index.Append) (index.Appended, error) {
	wait, full := c.newJobs.Full(access.CallerOf(ctx).Owner())
	a.KnownJobsOnly = full
	e := &entry{append: &a, ready: make(chan struct{})}
	if err := c.submit(ctx, e); err != nil {
		return index.Appended{}, err
	}
	var many *index.TooManyJobsError
	if errors.As(e.appended.Err, &many) {
		return e.appended, httpio.Busy(http.StatusTooManyRequests, min(wait, newJobRetryLimit), "%s", many)
	}
	return e.appended, e.appended.Err
}

// beat waits until b is durable.
func (c *committer) beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error) {
	c.arrivals.add(b)
	e := &entry{beat: &b, ready: make(chan struct{})}
	if err := c.submit(ctx, e); err != nil {
		return lease.BeatResult{}, err
	}
	c.arrivals.remove(b)
	return e.renewed, e.renewed.Err
}

// behind returns for how long the oldest beat that is not stored has waited.
func (c *committer) behind() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var longest time.Duration
	count := func(at time.Time) {
		if !at.IsZero() {
			longest = max(longest, c.now().Sub(at))
		}
	}
	count(c.renewing.oldest)
	count(c.beating.oldest)
	for _, queue := range [][]*entry{c.arrived, c.beats} {
		if len(queue) > 0 {
			count(queue[0].beat.At)
		}
	}
	return longest
}

// lastStored returns when a group was last committed; zero for never.
func (c *committer) lastStored() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.storedAt
}

// submit queues an entry and waits for its result. The wait does not end with ctx, because the
// caller must not reuse the bytes of an append while the committer may read them.
func (c *committer) submit(ctx context.Context, e *entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.owner = access.CallerOf(ctx).Owner()
	if err := c.enqueue(e); err != nil {
		return err
	}
	<-e.ready
	return e.err
}

// commit makes a group durable and answers each of its entries. When the group fails, one entry may
// be the cause, so each is tried alone; when commitTries of them in a row fail, the cause is the
// database, and the other entries fail with the same error.
func (c *committer) commit(ctx context.Context, w *worker, group []*entry) {
	err := c.try(ctx, w, group)
	if err != nil && len(group) > 1 {
		failed := 0
		for _, e := range group {
			if failed < commitTries {
				err = c.try(ctx, w, []*entry{e})
			}
			if err == nil {
				failed = 0
				continue
			}
			failed++
			e.err = err
		}
	} else if err != nil {
		group[0].err = err
	}
	c.end(w, group)
	for _, e := range group {
		c.notify(e)
		close(e.ready)
	}
}

// try commits a group in one transaction.
func (c *committer) try(ctx context.Context, w *worker, group []*entry) error {
	var appends []index.Append
	var beats []lease.Beat
	for _, e := range group {
		if e.append != nil {
			appends = append(appends, *e.append)
		} else {
			beats = append(beats, *e.beat)
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	appended, renewed, err := c.ingest(ctx, appends, beats)
	if err == nil && (len(appended) != len(appends) || len(renewed) != len(beats)) {
		err = fmt.Errorf("the store returned for %d appends and %d beats %d and %d results",
			len(appends), len(beats), len(appended), len(renewed))
	}
	c.counters.countCommit(time.Since(began), len(group), err)
	c.countCommit(err)
	c.recordTurn(w)
	if err != nil {
		return fmt.Errorf("commit %d appends and %d heartbeats: %w", len(appends), len(beats), err)
	}
	for _, e := range group {
		if e.append != nil {
			e.appended, appended = appended[0], appended[1:]
		} else {
			e.renewed, renewed = renewed[0], renewed[1:]
		}
	}
	return nil
}

// countCommit counts the commits in a row that have failed.
func (c *committer) countCommit(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed, c.storedAt = 0, c.now()
		return
	}
	c.failed++
	c.failedAt = c.now()
}

// failingLimit is how long failed commits count while there was no other commit.
const failingLimit = 30 * time.Second

// failing reports whether at least commitTries commits in a row have failed, the last of them within
// failingLimit, so that the database or its disk is the cause.
func (c *committer) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed >= commitTries && c.now().Sub(c.failedAt) < failingLimit
}

// notify calls the callback for an entry that is durable.
func (c *committer) notify(e *entry) {
	switch {
	case e.err != nil:
	case e.append != nil && e.appended.Err == nil:
		if e.appended.NewJob {
			c.newJobs.Count(e.owner)
		}
		c.durable.append(*e.append, e.appended)
	case e.beat != nil && e.renewed.Err == nil:
		c.durable.beat(*e.beat, e.renewed)
	}
}

// refuse makes the committer refuse further entries.
func (c *committer) refuse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.renewing.wakeUp()
	c.writing.wakeUp()
}

// close refuses further entries and waits until run has answered the accepted ones. When ctx ends
// first, the running commits fail, and the other entries are answered with their error.
func (c *committer) close(ctx context.Context) error {
	c.refuse()
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	abort := c.abort
	c.mu.Unlock()
	if abort != nil {
		abort()
		<-c.ended
	}
	return fmt.Errorf("wait for the last commit: %w", ctx.Err())
}

// queuedBytes returns how many bytes of appends wait to be committed.
func (c *committer) queuedBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
