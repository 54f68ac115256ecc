package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/job"
)

// useDisk does the most urgent thing that is to be done on the disk. The caller holds mu.
func (j *Journal) useDisk() (worked bool, err error) {
	// The note first: it says what got its place, and what of it stands in a gap. Else a
	// recovery would take what the journal has, or had, for output that comes after it.
	if t := &j.tail; t.noteStale && (t.noteFirst || len(t.commits) > 0 || len(t.discarded) > 0) {
		return j.writeNote()
	}
	if worked, err = j.deleteDelivered(); worked || err != nil {
		return worked, err
	}
	if worked, err = j.writePlaced(); worked || err != nil {
		return worked, err
	}
	if worked, err = j.writeNote(); worked || err != nil {
		return worked, err
	}
	return j.writeTail()
}

// releaseMemory gives back the memory of segments that the server has while the disk is not
// written, and reports whether there is something to delete.
func (j *Journal) releaseMemory() bool {
	done := j.acked
	ended := 0
	sick := !j.healthy()
	for _, s := range j.placed {
		if s.end() > done {
			break
		}
		ended++
		if sick && (s.written < s.size || !s.inPlace) && !s.released {
			s.released = true
			j.memory -= s.free()
		}
	}
	j.advance()
	return ended > 1
}

// advance notes how far the journal stands on the disk.
func (j *Journal) advance() {
	for i, s := range j.placed {
		switch {
		case s.end() <= j.onDisk:
		case s.released:
			j.onDisk = s.end()
		case !s.inPlace:
			return
		default:
			j.onDisk = max(j.onDisk, s.start+s.written)
			if s.written < s.size || i == len(j.placed)-1 {
				return
			}
		}
	}
}

// deleteDelivered deletes segments that the server has. The newest of them stays, for a server
// that loses its last moments with its power, unless the room is needed.
func (j *Journal) deleteDelivered() (bool, error) {
	done := j.acked
	n := 0
	for n < len(j.placed)-1 && j.placed[n].end() <= done {
		n++
	}
	least := 0 // up to the last one with a hole
	for i, s := range j.placed[:n] {
		if s.released {
			least = i + 1
		}
	}
	if j.fullReason == "" {
		n--
	}
	if n = max(n, least); n <= 0 || least == 0 && !j.worthDeleting(n) {
		return false, nil
	}
	at := j.placed[n].at
	meta := j.meta
	meta.Acknowledged, meta.Beginning = j.acked, &at
	gone := j.placed[:n]
	j.trimmed = at.Size
	err := j.io(func() error {
		if err := writeMeta(j.disk, meta); err != nil {
			return err
		}
		return j.deleteFiles(gone)
	})
	if err != nil {
		return false, err
	}
	j.meta.Beginning, j.deletedAt = &at, time.Now()
	for _, s := range gone {
		j.memory -= s.free()
	}
	j.placed = append([]*segment(nil), j.placed[n:]...)
	j.advance()
	return true, nil
}

// worthDeleting reports whether to delete the first n segments now. The disk is waited for when
// that is done, so it is done rarely, unless they take much room or the room is needed.
func (j *Journal) worthDeleting(n int) bool {
	size := j.placed[n].start - j.placed[0].start
	return j.fullReason != "" || size >= j.limits.Unsent/4 || time.Since(j.deletedAt) >= deleteEvery
}

// deleteFiles deletes the files of segments. The first one's file stays, empty: it holds the
// lock.
func (j *Journal) deleteFiles(gone []*segment) error {
	for _, s := range gone {
		switch {
		case s.name == disk.JournalFile:
			if err := s.file.Truncate(0); err != nil {
				return err
			}
		case s.name != "":
			if err := j.deleteFile(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteFile deletes the file of a segment. One that is gone was deleted before a call failed.
func (j *Journal) deleteFile(s *segment) error {
	if err := j.disk.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = s.file.Close()
	return nil
}

// writePlaced writes the next chunk of what has its place.
func (j *Journal) writePlaced() (bool, error) {
	for _, s := range j.placed {
		if s.released || s.inPlace && s.written == s.size {
			continue
		}
		if !s.inPlace && s.name != "" { // it was in the tail
			from, to := s.name, disk.SegmentName(s.start)
			if err := j.io(func() error { return j.disk.Rename(from, to) }); err != nil {
				return false, err
			}
			s.name, s.inPlace = to, true
			j.advanceAndNotify()
			j.forgetCommits()
			return true, nil
		}
		// Each file is whole before the next one begins.
		done, err := j.writeChunk(s, disk.SegmentName(s.start))
		if done {
			s.inPlace = true
			j.advanceAndNotify()
			j.forgetCommits()
		}
		return done, err
	}
	return false, nil
}

// forgetCommits forgets the commits that the disk shows by itself.
func (j *Journal) forgetCommits() {
	t := &j.tail
	for len(t.commits) > 0 && j.onDisk >= t.commits[0].end() {
		if s := j.segmentOf(t.commits[0].end()); t.commits[0].Name != "" && (s == nil || !s.inPlace && !s.released) {
			return
		}
		t.commits = t.commits[1:]
		t.noteStale = true
	}
}

func (j *Journal) advanceAndNotify() {
	before := j.onDisk
	j.advance()
	j.writer.notify = j.writer.notify || j.onDisk > before
}

// writeTail writes the next chunk of the tail.
func (j *Journal) writeTail() (bool, error) {
	if j.holdsOutput() {
		return false, nil
	}
	for _, s := range j.tail.segments {
		switch {
		case s.written == s.size:
		case !j.tail.hasNote: // without it nobody knows where the segment belongs
			j.tail.noteStale = true
			return j.writeNote()
		default:
			return j.writeChunk(s, disk.TailName(s.number))
		}
	}
	return false, nil
}

// writeChunk writes the first chunk of a segment that is not written, and makes its file
// first. It does nothing where there is no room for output.
func (j *Journal) writeChunk(s *segment, name string) (bool, error) {
	i := 0
	for i < len(s.chunks) && s.chunks[i].at+int64(len(s.chunks[i].data)) <= s.written {
		i++
	}
	if i == len(s.chunks) {
		return false, fmt.Errorf("%w: %s from %d on", errIncomplete, name, s.written)
	}
	c := s.chunks[i]
	if c.output && j.holdsOutput() {
		return false, nil
	}
	data := c.data[s.written-c.at:]
	at, f, ready, last := s.written, s.file, s.ready, j.writer.final
	err := j.io(func() (err error) {
		if f == nil {
			if f, err = j.disk.Create(name); err != nil {
				return err
			}
		}
		if c.output && !last && j.writer.async.Load() {
			if ready, err = j.allocate(f, ready, at+int64(len(data))); err != nil {
				ready = j.allocateSome(f, ready, at)
				return err
			}
		}
		_, err = f.WriteAt(data, at)
		return err
	})
	if f != s.file {
		s.file, s.name = f, name
		if s.dropped {
			j.tail.discarded, j.tail.noteStale = append(j.tail.discarded, s), true
		}
	}
	s.ready = ready
	if err != nil {
		return false, err
	}
	s.written = at + int64(len(data))
	if c.output && j.writer.again {
		j.setRoom()
	}
	j.dropWritten(s)
	return true, nil
}

// dropWritten gives back the memory of what is in the file.
func (j *Journal) dropWritten(s *segment) {
	for len(s.chunks) > 0 {
		c := s.chunks[0]
		if c.at+int64(len(c.data)) > s.written {
			return
		}
		s.chunks = s.chunks[1:]
		s.held -= int64(cap(c.data))
		if slices.Contains(j.tail.segments, s) {
			j.tail.memory -= int64(cap(c.data))
		} else {
			j.memory -= int64(cap(c.data))
		}
		j.recycle(c.data)
	}
	s.chunks = nil
}

// tailNote is what a recovery must know of the tail.
type tailNote struct {
	// After is where the output ends that stands before the tail and has no file of the tail:
	// if the journal on the disk ends before that, the tail belongs to nothing any more.
	After int64 `json:"after,omitempty"`
	// Dropped is the number of the newest segment that was dropped, with all before it.
	Dropped int `json:"dropped"`
	// Streams are how much of the streams of the last step has its place, with all commits.
	Streams []streamNote `json:"streams,omitempty"`
	// Gaps are what was dropped and is not declared yet. Their place follows from Streams.
	Gaps []job.Gap `json:"gaps,omitempty"`
	// Commits are what has got its place, in order.
	Commits []commitNote `json:"commits,omitempty"`
}

// streamNote is how much of a stream has its place.
type streamNote struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Bytes  int64      `json:"bytes"`
}

// lastStreams notes how much of the streams of the last step has its place. A tail is of one
// step, for it is empty when the next begins.
func (j *Journal) lastStreams() (all []streamNote) {
	keys := sortedKeys(j.streams)
	for _, key := range keys {
		if key.step == keys[len(keys)-1].step {
			all = append(all, streamNote{key.step, key.stream, j.streams[key]})
		}
	}
	return all
}

// commitNote says that at a journal offset some records stand, and behind them a segment
// which may still have its name from the tail.
type commitNote struct {
	At      int64  `json:"at"`
	After   int64  `json:"after,omitempty"` // as in the note
	Records []byte `json:"records,omitempty"`
	Name    string `json:"name,omitempty"` // empty: there is no such segment
}

func (c commitNote) end() int64 { return c.At + int64(len(c.Records)) }

// writeNote brings the note about the tail up to date, and deletes what was dropped.
func (j *Journal) writeNote() (bool, error) {
	t := &j.tail
	if !t.noteStale {
		return false, nil
	}
	n := tailNote{After: j.outputEnd, Dropped: t.dropped, Commits: t.commits}
	for _, key := range sortedKeys(t.gaps) {
		n.Gaps = append(n.Gaps, *t.gaps[key])
	}
	n.Streams = j.lastStreams()
	dead, noted := t.discarded, t.hasNote
	wanted := len(t.commits) > 0 || len(t.segments) > 0 || len(n.Gaps) > 0 || len(dead) > 0
	first := t.noteFirst
	t.noteStale, t.noteFirst, t.hasNote = false, false, noted || wanted // from now on the disk may have it
	err := j.io(func() error {
		if !wanted {
			if !noted {
				return nil
			}
			if err := j.disk.Remove(disk.NoteFile); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		data, err := json.Marshal(n)
		if err != nil {
			return err
		}
		if err := j.disk.Replace(disk.NoteFile, data, true); err != nil {
			return err
		}
		for _, s := range dead {
			if err := j.deleteFile(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.noteStale, t.noteFirst = true, t.noteFirst || first
		return false, err
	}
	t.hasNote = wanted
	t.discarded = t.discarded[len(dead):]
	return true, nil
}
