package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// backward searches from a line towards the beginning, one block at a time. A line is
// found in the block in which it begins; the parts of it in later blocks were set aside
// when these were read.
type backward struct {
	store logs.Store
	view  job.Run
	scan  *scanner
	most  int // maximum number of hits that are kept of one block
	hits  []foundLine
	tails map[logs.Key]*openLine
	send  func(foundLine) error
	after func() error // called after the hits of a block were sent
}

// run searches backwards from the block in which the line to begins. It returns the
// number of the line to go on with; 0 at the beginning.
func (sb *backward) run(ctx context.Context, to int64) (next int64, err error) {
	sb.scan.hit = sb.keep
	heads, err := sb.store.BlocksFromLine(ctx, sb.view.ID, sb.view.Attempt, to, 1)
	for first := true; err == nil && len(heads) > 0; first = false {
		head := heads[0]
		var b logs.Block
		if b, err = sb.read(ctx, head); err != nil {
			return 0, err
		}
		if err = sb.block(ctx, b, first); err != nil {
			return head.FirstLine + head.Lines - 1, err
		}
		if err = sb.flush(); err != nil {
			return 0, err
		}
		if head.Start <= journal.HeaderSize || head.FirstLine <= sb.scan.from || head.FirstLine <= 1 {
			return 0, nil
		}
		before, ok, err := logs.BlockBefore(ctx, sb.store, sb.view, head.Start)
		if err != nil || !ok {
			return 0, err
		}
		switch end := before.Start + before.Size; {
		case end > head.Start: // it was merged with the next block
			before = cutHead(before, head)
		case end < head.Start: // the blocks after it were deleted
			sb.tails = nil
		}
		heads = []index.BlockHead{before}
	}
	return 0, err
}

// cutHead returns the part of a block before end; the rest was searched before the blocks were merged.
func cutHead(whole, read index.BlockHead) index.BlockHead {
	whole.Size = read.Start - whole.Start
	whole.Lines = read.FirstLine - whole.FirstLine
	return whole
}

func (sb *backward) read(ctx context.Context, head index.BlockHead) (logs.Block, error) {
	data, err := sb.store.BlockData(ctx, sb.view.ID, sb.view.Attempt, head.Start)
	if err != nil {
		return logs.Block{}, err
	}
	if int64(len(data)) < head.Size {
		return logs.Block{}, fmt.Errorf("stored block at byte %d of run %s has %d bytes of %d", head.Start, sb.view.ID, len(data), head.Size)
	}
	return logs.Block{Head: head, Data: data[:head.Size], From: head.Start}, nil
}

// block searches one block and puts its last lines together with what follows them.
func (sb *backward) block(ctx context.Context, b logs.Block, first bool) error {
	s := sb.scan
	s.fragments, s.bytesLeft = map[logs.Key]*openLine{}, max(0, sb.view.Output.Bytes-b.Head.OutputStart)
	s.patient = first
	s.start(b.Head)
	if err := s.block(b); err != nil || s.closeErr != nil {
		return cmp.Or(err, s.closeErr)
	}
	if first {
		if err := sb.follow(ctx, b); err != nil {
			return err
		}
	}
	fragments := s.fragments
	s.fragments = nil
	for key, line := range s.open {
		if !first {
			s.join(line, sb.tails[key])
		}
		if line.old { // it spans the whole block
			fragments[key] = line
		}
	}
	sb.tails = fragments
	return s.end()
}

// follow reads on from the last block for the ends of lines that begin in it.
func (sb *backward) follow(ctx context.Context, b logs.Block) error {
	s := sb.scan
	s.closing = true
	defer func() { s.closing = false }()
	c := logs.Cursor{Store: sb.store, Run: sb.view.ID, Attempt: sb.view.Attempt, Pos: b.Head.Start + b.Head.Size}
	for read := int64(0); s.bytesLeft > 0 && read < logs.MaxReadAhead && s.waiting(); {
		more, ok, err := c.Next(ctx)
		if err != nil || !ok || more.Jumped {
			return err
		}
		read += int64(len(more.Data))
		if err := s.block(more); err != nil {
			return err
		}
	}
	return nil
}

// join adds the fragments of a line from later blocks.
func (s *scanner) join(line, tail *openLine) {
	switch {
	case tail == nil:
		return
	case !tail.dropped:
		s.extend(line, tail.buf)
	default: // the bytes between line.buf and tail.buf were dropped
		s.search(line)
		line.buf, line.dropped = tail.buf, true
	}
	if line.hit == nil {
		line.hit = tail.hit
	}
}

// keep buffers a hit until its block was searched, because the last hit is sent first.
func (sb *backward) keep(h foundLine) error {
	sb.hits = append(sb.hits, h)
	if len(sb.hits) >= 2*sb.most {
		sb.sort()
		sb.hits = sb.hits[:sb.most]
	}
	return nil
}

func (sb *backward) sort() {
	slices.SortFunc(sb.hits, func(a, b foundLine) int { return cmp.Compare(b.n, a.n) })
}

// flush sends the hits of a block.
func (sb *backward) flush() error {
	sb.sort()
	for _, h := range sb.hits {
		if err := sb.send(h); err != nil {
			return err
		}
	}
	sb.hits = sb.hits[:0]
	return sb.after()
}
