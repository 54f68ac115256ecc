package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"stint.dev/stint/internal/index"
)

// Limits of the committer. The queue is bounded by count and bytes; a request that finds
// it full is refused, and its agent comes back later.
const (
	queueEntries = 8192
	queueBytes   = 64 << 20
	groupEntries = 1024
	groupBytes   = 16 << 20
	commitTime   = 30 * time.Second
	// commitTries is how many single commits in a row may fail before the rest of a
	// failed group is given up: then it is the database, not one entry.
	commitTries = 3
)

// committer makes appends and beats durable in groups: it commits at once when idle, and
// while a commit runs the next group gathers. It owns one goroutine.
type committer struct {
	ingest  func(context.Context, []index.Append, []index.Beat) ([]index.Appended, []index.Beaten, error)
	told    committed
	metrics *serverMetrics

	mu     sync.Mutex
	queue  []*entry
	bytes  int64
	closed bool
	wake   chan struct{} // holds one token when there is something to look at
	ended  chan struct{} // closed when the goroutine has ended
	stop   context.CancelFunc
}

// entry is one append or one beat on its way, and its result. ready is closed when the
// result stands.
type entry struct {
	append *index.Append
	beat   *index.Beat

	appended index.Appended
	beaten   index.Beaten
	err      error
	ready    chan struct{}
}

// committed is what the committer tells about the entries that are durable.
type committed struct {
	append func(index.Append, index.Appended)
	beat   func(index.Beat, index.Beaten)
}

func newCommitter(store Store, tell committed, m *serverMetrics) *committer {
	ctx, stop := context.WithCancel(context.Background())
	c := &committer{
		ingest: store.Ingest, told: tell, metrics: m,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), stop: stop,
	}
	go c.run(ctx)
	return c
}

// append waits until a is durable or refused.
func (c *committer) append(ctx context.Context, a index.Append) (index.Appended, error) {
	e := &entry{append: &a, ready: make(chan struct{})}
	if err := c.submit(ctx, e); err != nil {
		return index.Appended{}, err
	}
	return e.appended, e.appended.Err
}

// beat waits until b is durable.
func (c *committer) beat(ctx context.Context, b index.Beat) (index.Beaten, error) {
	e := &entry{beat: &b, ready: make(chan struct{})}
	if err := c.submit(ctx, e); err != nil {
		return index.Beaten{}, err
	}
	return e.beaten, e.beaten.Err
}

// submit queues an entry and waits for it. The wait does not end with ctx: the bytes are
// the committer's until they are durable, and the caller must not reuse them before.
func (c *committer) submit(ctx context.Context, e *entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.enqueue(e); err != nil {
		return err
	}
	<-e.ready
	return e.err
}

func (c *committer) enqueue(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down: try again")
	}
	if len(c.queue) >= queueEntries || c.bytes+e.size() > queueBytes {
		c.metrics.refusedBusy.Inc()
		return busy(http.StatusTooManyRequests, time.Second, "the server has too much to write at the moment: try again")
	}
	c.queue = append(c.queue, e)
	c.bytes += e.size()
	c.poke()
	return nil
}

// poke wakes the goroutine; the caller holds mu.
func (c *committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (e *entry) size() int64 {
	if e.append != nil {
		return int64(len(e.append.Data))
	}
	return 0
}

// run commits group after group until the committer is closed and its queue is empty.
func (c *committer) run(ctx context.Context) {
	defer close(c.ended)
	for {
		group, closed := c.take()
		switch {
		case len(group) > 0:
			c.commit(ctx, group)
		case closed:
			return
		default:
			<-c.wake
		}
	}
}

// take removes the next group from the queue.
func (c *committer) take() (group []*entry, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(c.queue) && n < groupEntries && (n == 0 || size+c.queue[n].size() <= groupBytes) {
		size += c.queue[n].size()
		n++
	}
	group = c.queue[:n:n]
	c.queue = c.queue[n:]
	if len(c.queue) == 0 {
		c.queue = nil // lets go of the array, and of the entries it still points to
	}
	c.bytes -= size
	return group, c.closed
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
	for _, e := range group {
		c.tell(e)
		close(e.ready)
	}
}

// try commits a group in one transaction.
func (c *committer) try(ctx context.Context, group []*entry) error {
	var appends []index.Append
	var beats []index.Beat
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
	appended, beaten, err := c.ingest(ctx, appends, beats)
	if err == nil && (len(appended) != len(appends) || len(beaten) != len(beats)) {
		err = fmt.Errorf("the store answered %d appends and %d beats with %d and %d results",
			len(appends), len(beats), len(appended), len(beaten))
	}
	c.metrics.commit(time.Since(began), len(group), err)
	if err != nil {
		return fmt.Errorf("commit %d appends and %d heartbeats: %w", len(appends), len(beats), err)
	}
	for _, e := range group {
		if e.append != nil {
			e.appended, appended = appended[0], appended[1:]
		} else {
			e.beaten, beaten = beaten[0], beaten[1:]
		}
	}
	return nil
}

// tell passes on what an entry changed, once it is durable.
func (c *committer) tell(e *entry) {
	switch {
	case e.err != nil:
	case e.append != nil && e.appended.Err == nil:
		c.told.append(*e.append, e.appended)
	case e.beat != nil && e.beaten.Err == nil:
		c.told.beat(*e.beat, e.beaten)
	}
}

// close takes no more entries and waits until those accepted are answered. When ctx ends
// first, the commit that runs is broken off and what is left is answered with its error.
func (c *committer) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.poke()
	c.mu.Unlock()
	select {
	case <-c.ended:
		c.stop()
		return nil
	case <-ctx.Done():
		c.stop()
		<-c.ended
		return fmt.Errorf("wait for the last commit: %w", ctx.Err())
	}
}

// queued is how many bytes wait to be committed.
func (c *committer) queued() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
