package spool

import "stint.dev/stint/internal/agent/spool/segment"

// mayMove reports whether the oldest of the tail may get its place now.
func (j *Journal) mayMove() bool {
	t := &j.tail
	if t.Moving != nil || len(t.Segments) == 0 && len(t.Gaps) == 0 {
		t.HasRoom = t.HasRoom && t.Moving != nil
		return false
	}
	if t.MoveAll {
		return true
	}
	var size int64
	if len(t.Segments) > 0 {
		size = t.Segments[0].Size
	}
	t.HasRoom = j.room().AdmitsMove(size, t.HasRoom)
	return t.HasRoom
}

// moveOldest moves the oldest of the tail to its place; the caller holds mu, which is given up
// while the disk is read.
func (j *Journal) moveOldest() {
	t := &j.tail
	m := t.BeginMove()
	var frames []byte
	var err error
	if m.Segment != nil {
		frames, err = j.framesOf(m.Segment)
	}
	if m.Abandoned {
		return
	}
	t.Moving = nil
	if err != nil {
		t.AbandonMove(m, "the spool could not be read back: "+err.Error())
		return
	}
	j.finishMove(m, frames)
}

// finishMove appends the gaps and the segment behind them.
func (j *Journal) finishMove(m *segment.Move, frames []byte) {
	j.tail.FinishMove(&j.placed, m, frames, func(rec []byte) {
		_ = j.appendPlaced(rec, false) // it was encoded here
	})
}

// framesOf reads the frames of a segment's records, wherever they are.
func (j *Journal) framesOf(s *segment.Segment) ([]byte, error) {
	src, size := s.Reader(), s.Size // mu is not held below, and PlaceTail may drop it meanwhile
	if s.Written == 0 {
		return segment.ReadFrames(src, size)
	}
	var out []byte
	err := j.io(func() (err error) {
		out, err = segment.ReadFrames(src, size)
		return err
	})
	return out, err
}
