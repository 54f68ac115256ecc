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

// Limits of the committer. The queue is bounded by count and bytes; a request that finds
// it full is refused, and its agent comes back later.
const (
	queueEntries = 8192
	queueBytes   = 64 << 20
	groupEntries = 1024
	groupBytes   = 16 << 20
	commitTime   = 30 * time.Second
	// newJobWait bounds the Retry-After for an agent whose job would be one too many.
	newJobWait = time.Minute
	// commitTries is how many single commits in a row may fail before the rest of a
	// failed group is given up: then it is the database, not one entry.
	commitTries = 3
	// One run may hold a share of the queue, and of a group: an agent has one append on
	// its way and a heartbeat, so whoever has more is many clients or a wrong one.
	runEntries = 64
	runBytes   = queueBytes / 4
	runGroup   = groupBytes / 4
	// So may one owner, token or address; of a group only while others wait.
	ownerEntries = queueEntries / 4
	ownerBytes   = queueBytes / 4
	ownerGroup   = groupBytes / 4
	ownerCommits = groupEntries / 4
)

// Clients that were answered together come back together. After a group of at least
// gatherFrom the committer waits until gatherShare of those and of whoever came meanwhile
// are there, and no longer than gatherTime; otherwise the first of them alone would make the
// next group, and all others wait for its commit.
const (
	gatherFrom  = 8
	gatherShare = 0.75
	gatherTime  = 4 * time.Millisecond
)

// committer makes appends and beats durable in groups: it commits at once when idle, and
// while a commit runs the next group gathers. It owns two goroutines. One takes the beats and
// answers those that need no transaction (renew); the other commits what does. There beats have
// groups of their own, which go first: however much there is to append, a beat that needs a
// transaction waits for one group of appends at most.
type committer struct {
	renew    func([]lease.Beat) []*lease.BeatResult
	ingest   func(context.Context, []index.Append, []lease.Beat) ([]index.Appended, []lease.BeatResult, error)
	durable  callbacks
	counters *counters
	now      func() time.Time

	// Room in the queues: places for appends, for beats that arrived and for those that need a
	// transaction, and the bytes of appends.
	appendRoom, arrivedRoom, beatRoom, byteRoom *shares.Shares

	newJobs *shares.Rate // jobs of new names that each owner has begun

	arrivals arrivals // heartbeats that are not stored, or could not be

	mu          sync.Mutex
	arrived     []*entry       // beats that just came
	queue       []*entry       // appends
	beats       []*entry       // those that need a transaction
	ahead       map[string]int // by run: its beats that need one and are not answered
	lastOfBeats bool           // the last group was of beats
	storedAt    time.Time      // when a group was last committed
	bytes       int64
	runs        map[string]share     // what each run has in the queue
	owners      map[shares.Owner]int // how many appends each owner has in the queue
	closed      bool
	failed      int       // commits in a row
	last        time.Time // when the last of them failed
	renewing    worker    // takes what has arrived
	writing     worker    // commits what is in the queues
	stop        context.CancelFunc
}

// entry is one append or one beat on its way, and its result. ready is closed when the
// result stands.
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

// share is what one run has in the queue.
type share struct {
	entries int
	bytes   int64
}

// callbacks are called for the entries that are durable.
type callbacks struct {
	append func(index.Append, index.Appended)
	beat   func(lease.Beat, lease.BeatResult)
}

func newCommitter(store Store, durable callbacks, m *counters, now func() time.Time, newJobs int) *committer {
	ctx, stop := context.WithCancel(context.Background())
	c := &committer{
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
		writing:     newWorker(now()),
		stop:        stop,
	}
	go c.renewAll()
	go c.run(ctx)
	return c
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
		return e.appended, httpio.Busy(http.StatusTooManyRequests, min(wait, newJobWait), "%s", many)
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
	c.arrivals.stored(b)
	return e.renewed, e.renewed.Err
}

// behind returns how long the heartbeat has waited that has waited longest to be stored.
func (c *committer) behind() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var behind time.Duration
	note := func(at time.Time) {
		if !at.IsZero() {
			behind = max(behind, c.now().Sub(at))
		}
	}
	note(c.renewing.oldest)
	note(c.writing.oldest)
	for _, queue := range [][]*entry{c.arrived, c.beats} {
		if len(queue) > 0 {
			note(queue[0].beat.At)
		}
	}
	return behind
}

// lastStored returns when a group was last committed; zero for never.
func (c *committer) lastStored() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.storedAt
}

// submit queues an entry and waits for it. The wait does not end with ctx: the bytes are
// the committer's until they are durable, and the caller must not reuse them before.
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

// commit makes a group durable and answers each of its entries. When the group as a whole
// fails, one entry may be to blame, so each is tried alone; when several in a row fail,
// it is the database and the rest is given up for now.
func (c *committer) commit(ctx context.Context, group []*entry) {
	err := c.try(ctx, group)
	if err != nil && len(group) > 1 {
		failed := 0
		for _, e := range group {
			if failed < commitTries {
				err = c.try(ctx, []*entry{e})
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
	c.noLongerAhead(group)
	for _, e := range group {
		c.publish(e)
		close(e.ready)
	}
}

// try commits a group in one transaction.
func (c *committer) try(ctx context.Context, group []*entry) error {
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
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	appended, renewed, err := c.ingest(ctx, appends, beats)
	if err == nil && (len(appended) != len(appends) || len(renewed) != len(beats)) {
		err = fmt.Errorf("the store answered %d appends and %d beats with %d and %d results",
			len(appends), len(beats), len(appended), len(renewed))
	}
	c.counters.commit(time.Since(began), len(group), err)
	c.countCommit(err)
	c.recordTurn(&c.writing)
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

// countCommit counts commits that fail one after the other.
func (c *committer) countCommit(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failed, c.storedAt = 0, c.now()
		return
	}
	c.failed++
	c.last = c.now()
}

// failingFor is how long failed commits count when nobody has tried since.
const failingFor = 30 * time.Second

// failing reports whether so many commits in a row have failed, the last of them just now,
// that it is the database or its disk.
func (c *committer) failing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed >= commitTries && c.now().Sub(c.last) < failingFor
}

// publish passes on what an entry changed, once it is durable.
func (c *committer) publish(e *entry) {
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

// close takes no more entries and waits until those accepted are answered. When ctx ends
// first, the commit that runs is broken off and what is left is answered with its error.
func (c *committer) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.renewing.wakeUp()
	c.mu.Unlock()
	select {
	case <-c.writing.ended: // after the other
		c.stop()
		return nil
	case <-ctx.Done():
		c.stop()
		<-c.writing.ended
		return fmt.Errorf("wait for the last commit: %w", ctx.Err())
	}
}

// queued is how many bytes wait to be committed.
func (c *committer) queued() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
