package server

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"stint.dev/stint/job"
)

const (
	// recentBytes bounds the journal bytes kept for followers.
	recentBytes = 16 << 20
	// sharedRead bounds a read of the store that several followers wait for.
	sharedRead = 30 * time.Second
)

// blockCache keeps the blocks that live streams read last, so that many followers of one
// run cost the database little more than one. Journal bytes never change once stored, so
// nothing here can be out of date.
type blockCache struct {
	flight singleflight.Group
	// commits counts what was committed here: who asks after a commit must not be handed
	// an answer that was read before it.
	commits atomic.Uint64

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
	block block
	next  int64
}

func newBlockCache(most int64) *blockCache {
	return &blockCache{most: most, items: make(map[blockKey]*list.Element), order: list.New()}
}

// read returns the stored records from an offset on, as far as one block goes, and the
// offset after them; false when nothing is stored there yet.
func (c *blockCache) read(ctx context.Context, store blockStore, run string, attempt int, pos int64) (block, int64, bool, error) {
	key := blockKey{run, attempt, pos}
	if hit := c.get(key); hit != nil {
		return hit.block, hit.next, true, nil
	}
	if err := ctx.Err(); err != nil {
		return block{}, 0, false, err
	}
	name := c.flightName(run + "/" + eventID(attempt, pos))
	v, err, _ := c.flight.Do(name, func() (any, error) {
		// One follower that leaves must not fail the others who wait for this read.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedRead)
		defer cancel()
		cur := cursor{store: store, run: run, attempt: attempt, pos: pos, ahead: 1}
		b, ok, err := cur.next(shared)
		if err != nil || !ok {
			return (*cachedBlock)(nil), err
		}
		found := &cachedBlock{key: key, block: b, next: cur.pos}
		c.put(found)
		return found, nil
	})
	found := v.(*cachedBlock)
	if err != nil || found == nil {
		return block{}, 0, false, err
	}
	return found.block, found.next, true, nil
}

// run reads a run, once for all who ask at the same time.
func (c *blockCache) run(ctx context.Context, store Store, id string) (job.Run, error) {
	v, err, _ := c.flight.Do(c.flightName("run/"+id), func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedRead)
		defer cancel()
		return store.Run(shared, id)
	})
	return v.(job.Run), err
}

func (c *blockCache) flightName(what string) string {
	return strconv.FormatUint(c.commits.Load(), 10) + "/" + what
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
	size := int64(len(b.block.data))
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
		c.bytes -= int64(len(old.block.data))
	}
}
