package live

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
)

const (
	// recentBytes bounds what is kept for followers: journal bytes, and about as much again
	// for the events that they make.
	recentBytes = 32 << 20
	// sharedRead bounds a read of the store that several followers wait for.
	sharedRead = 30 * time.Second
)

// blockCache keeps the blocks that live streams read last, so that many followers of one
// run cost the database little more than one. Journal bytes never change once stored, so
// nothing here can be out of date.
type blockCache struct {
	flight   singleflight.Group
	commits  atomic.Uint64              // counts what was committed here
	followed func(run string) *followed // nil where nobody follows it

	mu    sync.Mutex
	most  int64
	bytes int64
	items map[blockKey]*list.Element
	order *list.List // of *cachedBlock, last used first
}

type blockKey struct {
	run     string
	attempt int
	pos     int64
}

type cachedBlock struct {
	key   blockKey
	block logs.Block
	next  int64

	render sync.Once
	events []byte // see rendered
}

func newBlockCache(most int64, followers func(string) *followed) *blockCache {
	return &blockCache{most: most, followed: followers, items: make(map[blockKey]*list.Element), order: list.New()}
}

// read returns the stored records from an offset on, as far as one block goes, and the
// offset after them; nil when nothing is stored there yet.
func (c *blockCache) read(ctx context.Context, store logs.Store, run string, attempt int, pos int64) (*cachedBlock, error) {
	key := blockKey{run, attempt, pos}
	if hit := c.get(key); hit != nil {
		return hit, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nothing := func(v any) bool { return v.(*cachedBlock) == nil } // a block is kept by put
	v, err := c.share(ctx, run, eventID(attempt, pos), nothing, func() (any, error) {
		// One follower that leaves must not fail the others who wait for this read.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedRead)
		defer cancel()
		cur := logs.Cursor{Store: store, Run: run, Attempt: attempt, Pos: pos, Ahead: 1}
		b, ok, err := cur.Next(shared)
		if err != nil || !ok {
			return (*cachedBlock)(nil), err
		}
		found := &cachedBlock{key: key, block: b, next: cur.Pos}
		c.put(found)
		return found, nil
	})
	return v.(*cachedBlock), err
}

// run reads a run, once for all who ask at the same time or shortly after.
func (c *blockCache) run(ctx context.Context, store Store, id string) (job.Run, error) {
	v, err := c.share(ctx, id, "run", func(any) bool { return true }, func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedRead)
		defer cancel()
		return store.Run(shared, id)
	})
	return v.(job.Run), err
}

// events reads the changes of all runs after an id, once for all who ask at the same time. That
// there are none is kept for a moment.
func (c *blockCache) events(ctx context.Context, store Store, after int64) ([]job.RunEvent, error) {
	none := func(v any) bool { return len(v.([]job.RunEvent)) == 0 }
	v, err := c.share(ctx, "", "events after "+strconv.FormatInt(after, 10), none, func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedRead)
		defer cancel()
		return store.Events(shared, "", after, eventPage)
	})
	return v.([]job.RunEvent), err
}

func flightName(commit uint64, run, question string) string {
	return strconv.FormatUint(commit, 10) + "/" + run + "/" + question
}

func (c *blockCache) get(key blockKey) *cachedBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedBlock)
}

func (c *blockCache) put(b *cachedBlock) {
	size := b.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.most/2 || c.items[b.key] != nil {
		return
	}
	c.items[b.key] = c.order.PushFront(b)
	c.bytes += size
	for c.bytes > c.most {
		last := c.order.Back()
		old := c.order.Remove(last).(*cachedBlock)
		delete(c.items, old.key)
		c.bytes -= old.size()
	}
}

// size is what a block may come to take, with its events.
func (c *cachedBlock) size() int64 { return 2 * int64(len(c.block.Data)) }
