package live

import (
	"bufio"
	"bytes"
	"context"
	"sync"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/journal"
)

// reuseLimit is how long the streams of a run reuse a result of the store without a commit here, because
// other servers on the same database commit as well.
const reuseLimit = 200 * time.Millisecond

// followed is a run with live streams: its subscriptions, and the results that the store has returned to
// one of them since the last commit.
type followed struct {
	subs map[*Subscription]struct{} // guarded by Broker.mu

	mu      sync.Mutex
	commit  uint64 // number of the last commit
	results map[string]sharedResult
}

type sharedResult struct {
	value any
	at    time.Time
}

func newFollowed(commit uint64) *followed {
	return &followed{subs: map[*Subscription]struct{}{}, commit: commit, results: map[string]sharedResult{}}
}

// committed removes the results, which a commit may have changed.
func (f *followed) committed(commit uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commit = commit
	clear(f.results)
}

// get returns the result of a query, if it may be reused, and the number of the last commit.
func (f *followed) get(query string, now time.Time) (value any, commit uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.results[query]
	return r.value, f.commit, ok && now.Sub(r.at) < reuseLimit
}

// put keeps the result of a query that was made after a commit, unless there was another commit.
func (f *followed) put(query string, commit uint64, value any, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commit == commit {
		f.results[query] = sharedResult{value, now}
	}
}

// share returns the result of a query about a run. Streams that call it at the same time share one read,
// and the result is reused for reuseLimit if keep returns true. A call after a commit never gets a result
// from before it.
func (c *blockCache) share(ctx context.Context, run, query string, keep func(any) bool, read func() (any, error)) (any, error) {
	f, commit := c.followed(run), c.commits.Load()
	if f != nil {
		var value any
		var ok bool
		if value, commit, ok = f.get(query, time.Now()); ok {
			return value, nil
		}
	}
	defer httpio.TurnOf(ctx).Pause()() // the request that reads may wait for a turn
	value, err, _ := c.flight.Do(flightKey(commit, run, query), func() (any, error) {
		at := time.Now()
		value, err := read()
		if f != nil && err == nil && keep(value) {
			f.put(query, commit, value, at)
		}
		return value, err
	})
	return value, err
}

// rendered returns the events of a block for streams without filter. They are made once. It is nil for a
// block with the start or end of a step, for which each stream needs its own list of steps.
func (c *cachedBlock) rendered() []byte {
	c.render.Do(func() {
		var out bytes.Buffer
		f := &follower{attempt: c.key.attempt, out: &eventWriter{buf: bufio.NewWriter(&out)}}
		plain := true
		err := c.block.Records(func(rec journal.Record, end int64) error {
			switch rec.Type {
			case journal.TypeStepStarted, journal.TypeStepEnded:
				plain = false
				return logs.ErrStop
			}
			return f.sendRecord(rec, end)
		})
		if err == nil && plain && f.flushChunk() == nil && f.out.buf.Flush() == nil {
			c.events = out.Bytes()
		}
	})
	return c.events
}
