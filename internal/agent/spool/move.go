package spool

import (
	"cmp"
	"encoding/binary"
	"io"
	"maps"
	"slices"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// move is the oldest segment of the tail on its way to its place, with the gaps before it.
type move struct {
	segment   *segment // nil: gaps only
	gaps      map[streamKey]*job.Gap
	abandoned bool // it takes too long: it was counted into the gaps that follow
}

// mayMove reports whether the oldest of the tail may get its place now.
func (j *Journal) mayMove() bool {
	t := &j.tail
	if t.moving != nil || len(t.segments) == 0 && len(t.gaps) == 0 {
		t.hasRoom = t.hasRoom && t.moving != nil
		return false
	}
	if t.moveAll {
		return true
	}
	var size int64
	if len(t.segments) > 0 {
		size = t.segments[0].size
	}
	unsent, most := j.state.Size-j.acked, j.limits.Unsent/2
	if !t.hasRoom { // not before there is room for a good deal: else many small gaps would follow each other
		most -= j.limits.Unsent / 8
		size = min(size, most)
	}
	t.hasRoom = unsent+size <= most && (j.healthy() || unsent+size <= j.window()) || unsent == 0
	return t.hasRoom
}

// moveOldest moves the oldest of the tail to its place; the caller holds mu, which is given up
// while the disk is read.
func (j *Journal) moveOldest() {
	t := &j.tail
	m := &move{gaps: t.gaps}
	t.moving, t.gaps = m, map[streamKey]*job.Gap{}
	var frames []byte
	var err error
	if len(t.segments) > 0 {
		m.segment = t.segments[0]
		t.segments = t.segments[1:]
		frames, err = j.framesOf(m.segment)
	}
	if m.abandoned {
		return
	}
	t.moving = nil
	if err != nil {
		j.abandonMove(m, "the spool could not be read back: "+err.Error())
		return
	}
	j.finishMove(m, frames)
}

// abandonMove counts a segment that cannot be moved into the gaps that follow it.
func (j *Journal) abandonMove(m *move, why string) {
	t := &j.tail
	later := t.gaps
	t.gaps = m.gaps
	if m.segment != nil {
		j.addGaps(t.gaps, m.segment.counts, m.segment.startedAt, why)
		t.memory -= m.segment.free()
		m.segment.dropped = true
		t.dropped = max(t.dropped, m.segment.number)
		if m.segment.name != "" {
			t.discarded = append(t.discarded, m.segment)
		}
	}
	for key, g := range later {
		j.addGaps(t.gaps, map[streamKey]count{key: {g.Bytes, g.Lines}}, g.At, g.Reason)
	}
	t.noteStale = true
}

// finishMove appends the gaps and the segment behind them.
func (j *Journal) finishMove(m *move, frames []byte) {
	t := &j.tail
	at := j.state.Size
	records := j.gapRecords(m.gaps)
	for _, rec := range records {
		_ = j.appendPlaced(rec, false) // it was encoded here
	}
	s := m.segment
	if c := (commitNote{At: at, After: j.outputEnd, Records: slices.Concat(records...)}); s != nil && s.name != "" {
		c.Name = s.name
		t.commits, t.noteStale = append(t.commits, c), true
	} else if (t.hasNote || len(t.discarded) > 0) && len(records) > 0 {
		t.commits, t.noteStale = append(t.commits, c), true
	}
	if t.hasNote {
		t.noteStale, t.noteFirst = true, true
	}
	if s == nil {
		return
	}
	j.insertSegment(s, frames)
	for key, c := range s.counts {
		j.streams[key] += c.bytes
	}
	if s.name == "" {
		j.outputEnd = s.end()
	}
	t.memory -= s.held
	j.memory += s.held
}

// insertSegment appends a segment of the tail to those that have their place.
func (j *Journal) insertSegment(s *segment, frames []byte) {
	s.start = j.state.Size
	s.at, _ = j.state.Checkpoint() // SHA-256 can always say its state
	for ; len(frames) >= journal.FrameSize; frames = frames[journal.FrameSize:] {
		j.state.TakeFrame(frames)
	}
	j.placed = append(j.placed, s)
}

// gapRecords encodes gaps, and counts them as kept at their place.
func (j *Journal) gapRecords(gaps map[streamKey]*job.Gap) [][]byte {
	var out [][]byte
	for _, key := range sortedKeys(gaps) {
		g := *gaps[key]
		g.AtBytes = j.streams[key]
		rec, err := journal.JSONRecord(journal.TypeGap, g.At, g)
		if err != nil {
			continue // a gap can always be encoded
		}
		out = append(out, journal.AppendRecord(nil, rec))
		j.streams[key] += g.Bytes
	}
	return out
}

func sortedKeys[T any](m map[streamKey]T) []streamKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b streamKey) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.stream, b.stream))
	})
}

// framesOf reads the frames of a segment's records, wherever they are.
func (j *Journal) framesOf(s *segment) ([]byte, error) {
	src, size := segmentReader{s.file, s.written, s.chunks}, s.size // mu is not held below, and Settle may drop it meanwhile
	if s.written == 0 {
		return readFrames(src, size)
	}
	var out []byte
	err := j.io(func() (err error) {
		out, err = readFrames(src, size)
		return err
	})
	return out, err
}

// segmentReader reads a segment of the tail that nobody appends to any more: the part that is
// in the file, and the rest in memory.
type segmentReader struct {
	file    disk.File
	written int64
	chunks  []chunk
}

func (r segmentReader) ReadAt(p []byte, from int64) (int, error) {
	n := 0
	if from < r.written {
		n = int(min(int64(len(p)), r.written-from))
		if got, err := r.file.ReadAt(p[:n], from); err != nil {
			return got, err
		}
	}
	if n += readChunks(r.chunks, p[n:], from+int64(n)); n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// readFrames walks over whole records.
func readFrames(src io.ReaderAt, size int64) ([]byte, error) {
	var out []byte
	buf := make([]byte, 64<<10)
	var from, have int64 // buf holds what stands at from
	for at := int64(0); at < size; {
		if at < from || at+journal.FrameSize > from+have {
			from, have = at, min(int64(len(buf)), size-at)
			if _, err := src.ReadAt(buf[:have], from); err != nil {
				return nil, err
			}
		}
		if at+journal.FrameSize > from+have {
			return nil, io.ErrUnexpectedEOF
		}
		frame := buf[at-from : at-from+journal.FrameSize]
		out = append(out, frame...)
		at += journal.FrameSize + int64(binary.LittleEndian.Uint32(frame[4:]))
	}
	return out, nil
}
