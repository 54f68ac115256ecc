package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// searchBack searches from a line towards the beginning, one block at a time. A line is
// found in the block in which it begins; the parts of it in later blocks were set aside
// when these were read.
type searchBack struct {
	store blockStore
	view  job.Run
	scan  *searchScan
	most  int // hits kept of one block
	found []searchHit
	tails map[outputKey]*searchLine
	send  func(searchHit) error
	after func() error // called when the hits of a block were sent
}

// run searches the blocks backwards from the one in which line to begins. It returns the
// number of the line to go on with; 0 at the beginning.
func (sb *searchBack) run(ctx context.Context, to int64) (next int64, err error) {
	sb.scan.hit = sb.keep
	heads, err := sb.store.BlocksFromLine(ctx, sb.view.ID, sb.view.Attempt, to, 1)
	for first := true; err == nil && len(heads) > 0; first = false {
		head := heads[0]
		var b block
		if b, err = sb.read(ctx, head); err != nil {
			return 0, err
		}
		if err = sb.block(ctx, b, first); err != nil {
			return head.FirstLine + head.Lines - 1, err
		}
		if err = sb.tell(); err != nil {
			return 0, err
		}
		if head.Start <= journal.HeaderSize || head.FirstLine <= sb.scan.from || head.FirstLine <= 1 {
			return 0, nil
		}
		before, ok, err := blockBefore(ctx, sb.store, sb.view, head.Start)
		if err != nil || !ok {
			return 0, err
		}
		switch end := before.Start + before.Size; {
		case end > head.Start: // merged with its neighbour
			before = cutHead(before, head)
		case end < head.Start: // what followed it was dropped
			sb.tails = nil
		}
		heads = []index.BlockHead{before}
	}
	return 0, err
}

// cutHead is the part of a block that was merged with one that was read already.
func cutHead(whole, read index.BlockHead) index.BlockHead {
	whole.Size = read.Start - whole.Start
	whole.Lines = read.FirstLine - whole.FirstLine
	return whole
}

func (sb *searchBack) read(ctx context.Context, head index.BlockHead) (block, error) {
	data, err := sb.store.BlockData(ctx, sb.view.ID, sb.view.Attempt, head.Start)
	if err != nil {
		return block{}, err
	}
	if int64(len(data)) < head.Size {
		return block{}, fmt.Errorf("stored block at byte %d of run %s has %d bytes of %d", head.Start, sb.view.ID, len(data), head.Size)
	}
	return block{head: head, data: data[:head.Size], from: head.Start}, nil
}

// block searches one block and puts its last lines together with what follows them.
func (sb *searchBack) block(ctx context.Context, b block, first bool) error {
	s := sb.scan
	s.fragments, s.left = map[outputKey]*searchLine{}, max(0, sb.view.Output.Bytes-b.head.OutputStart)
	s.patient = first
	s.start(b.head)
	if err := s.block(b); err != nil || s.why != nil {
		return cmp.Or(err, s.why)
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
		if line.old { // it goes through the whole block
			fragments[key] = line
		}
	}
	sb.tails = fragments
	return s.end()
}

// follow reads on from the last block for the ends of lines that begin in it.
func (sb *searchBack) follow(ctx context.Context, b block) error {
	s := sb.scan
	s.closing = true
	defer func() { s.closing = false }()
	c := cursor{store: sb.store, run: sb.view.ID, attempt: sb.view.Attempt, pos: b.head.Start + b.head.Size}
	for read := int64(0); s.left > 0 && read < lookAhead && s.waiting(); {
		more, ok, err := c.next(ctx)
		if err != nil || !ok || more.jumped {
			return err
		}
		read += int64(len(more.data))
		if err := s.block(more); err != nil {
			return err
		}
	}
	return nil
}

// join adds what follows a line in later blocks.
func (s *searchScan) join(line, tail *searchLine) {
	switch {
	case tail == nil:
		return
	case !tail.dropped:
		s.extend(line, tail.buf)
	default: // the bytes between are gone
		s.look(line)
		line.buf, line.dropped = tail.buf, true
	}
	if line.hit == nil {
		line.hit = tail.hit
	}
}

// keep holds a hit back until its block was read, for the last one comes first.
func (sb *searchBack) keep(h searchHit) error {
	sb.found = append(sb.found, h)
	if len(sb.found) >= 2*sb.most {
		sb.sort()
		sb.found = sb.found[:sb.most]
	}
	return nil
}

func (sb *searchBack) sort() {
	slices.SortFunc(sb.found, func(a, b searchHit) int { return cmp.Compare(b.n, a.n) })
}

// tell passes the hits of a block on.
func (sb *searchBack) tell() error {
	sb.sort()
	for _, h := range sb.found {
		if err := sb.send(h); err != nil {
			return err
		}
	}
	sb.found = sb.found[:0]
	return sb.after()
}
