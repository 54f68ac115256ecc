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
	// recentBytes is the size of the cache: journal bytes, and about as many bytes for the events that
	// are made of them.
	recentBytes = 32 << 20
	// sharedReadTimeout is the limit of a read of the store for which several streams wait.
	sharedReadTimeout = 30 * time.Second
)

// blockCache keeps the blocks that live streams have read last, so that many streams of one run need
// little more of the database than one. Stored journal bytes never change, so that no block is outdated.
type blockCache struct {
	flight   singleflight.Group
	commits  atomic.Uint64              // number of the last commit of this process
	followed func(run string) *followed // see Broker.followed

	mu    sync.Mutex
	max   int64 // bytes
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
	next  int64 // the offset after the block

	render sync.Once
	events []byte // result of rendered
}

func newBlockCache(limit int64, followers func(string) *followed) *blockCache {
	return &blockCache{max: limit, followed: followers, items: make(map[blockKey]*list.Element), order: list.New()}
}

// read returns the stored records from an offset to the end of the block; nil if nothing is stored there
// yet.
func (c *blockCache) read(ctx context.Context, store logs.Store, run string, attempt int, pos int64) (*cachedBlock, error) {
	key := blockKey{run, attempt, pos}
	if hit := c.get(key); hit != nil {
		return hit, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	isNone := func(v any) bool { return v.(*cachedBlock) == nil } // put keeps blocks
	v, err := c.share(ctx, run, eventID(attempt, pos), isNone, func() (any, error) {
		// The read must not fail for the other streams when the client of this one leaves.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedReadTimeout)
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

// run returns a run. Streams that call it at the same time or shortly afterwards share one read.
func (c *blockCache) run(ctx context.Context, store Store, id string) (job.Run, error) {
	v, err := c.share(ctx, id, "run", func(any) bool { return true }, func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedReadTimeout)
		defer cancel()
		return store.Run(shared, id)
	})
	return v.(job.Run), err
}

// events returns the changes of all runs after an id. Streams that call it at the same time share one
// read; that there are no changes is shared for a short time.
func (c *blockCache) events(ctx context.Context, store Store, after int64) ([]job.RunEvent, error) {
	isEmpty := func(v any) bool { return len(v.([]job.RunEvent)) == 0 }
	v, err := c.share(ctx, "", "events after "+strconv.FormatInt(after, 10), isEmpty, func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedReadTimeout)
		defer cancel()
		return store.Events(shared, "", after, eventPage)
	})
	return v.([]job.RunEvent), err
}

// flightKey returns the key under which reads after the same commit are shared.
func flightKey(commit uint64, run, query string) string {
	return strconv.FormatUint(commit, 10) + "/" + run + "/" + query
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
	if size > c.max/2 || c.items[b.key] != nil {
		return
	}
	c.items[b.key] = c.order.PushFront(b)
	c.bytes += size
	for c.bytes > c.max {
		last := c.order.Back()
		old := c.order.Remove(last).(*cachedBlock)
		delete(c.items, old.key)
		c.bytes -= old.size()
	}
}

// size returns about how many bytes a block needs together with its events.
func (c *cachedBlock) size() int64 { return 2 * int64(len(c.block.Data)) }
