package search

import (
	"context"
	"errors"
	"fmt"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/journal"
)

// blocksAhead is the number of blocks that are read concurrently, so that reads and searching overlap.
const blocksAhead = 3

// headsAhead is the number of block heads that one query reads.
const headsAhead = 32

// readAhead reads the blocks of an attempt in order and a few blocks in advance. The caller must call close.
type readAhead struct {
	ctx    context.Context
	cancel context.CancelFunc
	store  logs.Store
	run    string

	attempt   int
	pos       int64 // offset of the next record to return
	requested int64 // end of the last block that is being read
	heads     []index.BlockHead
	queue     []*blockRead
	last      bool // all heads were read
}

// blockRead is the read of one block.
type blockRead struct {
	head index.BlockHead
	done chan struct{}
	data []byte
	err  error
}

func newReadAhead(ctx context.Context, store logs.Store, run string, attempt int, pos int64) *readAhead {
	ctx, cancel := context.WithCancel(ctx)
	return &readAhead{ctx: ctx, cancel: cancel, store: store, run: run, attempt: attempt, pos: pos, requested: pos}
}

// close cancels the reads and waits until they have returned.
func (r *readAhead) close() {
	r.cancel()
	r.drop()
}

func (r *readAhead) drop() {
	for _, one := range r.queue {
		<-one.done
	}
	r.queue, r.heads, r.last, r.requested = nil, nil, false, r.pos
}

// next returns the next block; false at the end of what is stored. Blocks that were
// merged or moved in the meantime are looked for again.
func (r *readAhead) next() (logs.Block, bool, error) {
	const tries = 8
	for range tries {
		if err := r.fill(); err != nil {
			return logs.Block{}, false, err
		}
		if len(r.queue) == 0 {
			return logs.Block{}, false, nil
		}
		one := r.queue[0]
		select {
		case <-one.done:
		case <-r.ctx.Done():
			return logs.Block{}, false, r.ctx.Err()
		}
		var gone *query.NotFoundError
		if errors.As(one.err, &gone) || one.err == nil && int64(len(one.data)) < one.head.Size {
			r.drop()
			continue
		}
		if one.err != nil {
			return logs.Block{}, false, one.err
		}
		r.queue = r.queue[1:]
		b := logs.Block{Head: one.head, Data: one.data[:one.head.Size], From: max(r.pos, one.head.Start)}
		b.Jumped = one.head.Start > max(r.pos, journal.HeaderSize)
		r.pos = one.head.Start + one.head.Size
		return b, true, nil
	}
	return logs.Block{}, false, fmt.Errorf("read journal of run %s attempt %d at byte %d: its blocks kept moving; try again", r.run, r.attempt, r.pos)
}

// fill starts reads until blocksAhead reads are running.
func (r *readAhead) fill() error {
	for len(r.queue) < blocksAhead && !r.last {
		if len(r.heads) == 0 {
			var err error
			if r.heads, err = r.store.Blocks(r.ctx, r.run, r.attempt, r.requested, headsAhead); err != nil {
				return err
			}
			r.last = len(r.heads) == 0
			continue
		}
		one := &blockRead{head: r.heads[0], done: make(chan struct{})}
		r.heads = r.heads[1:]
		r.requested = one.head.Start + one.head.Size
		r.queue = append(r.queue, one)
		go func() {
			defer close(one.done)
			one.data, one.err = r.store.BlockData(r.ctx, r.run, r.attempt, one.head.Start)
		}()
	}
	return nil
}
