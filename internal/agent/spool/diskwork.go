package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
)

// useDisk does the most urgent work on the disk, and reports whether there was any. The caller
// holds mu.
func (j *Journal) useDisk() (worked bool, err error) {
	// The note first: it says what got its place, and what of it is in a gap. Else a
	// recovery would take what the journal has, or had, for output that comes after it.
	if t := &j.tail; t.NoteStale && (t.NoteFirst || len(t.Commits) > 0 || len(t.Discarded) > 0) {
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
	if worked, err = j.writeTail(); worked || err != nil {
		return worked, err
	}
	return j.writeInstallation(), nil
}

// writeInstallation brings the meta file up to date when the installation has become known. A disk that does not take it is asked
// again with the next work, at the latest when the journal is closed.
func (j *Journal) writeInstallation() (worked bool) {
	if j.noted == j.meta.Installation {
		return false
	}
	meta := j.meta
	j.noted = meta.Installation
	if j.io(func() error { return writeMeta(j.writer.Disk, meta) }) != nil {
		j.noted = ""
	}
	return j.noted != ""
}

// deleteDelivered deletes segments that the server has.
func (j *Journal) deleteDelivered() (bool, error) {
	n := j.placed.Deletable(j.writer.FullReason != "", j.limits.Unsent/4, time.Now())
	if n == 0 {
		return false, nil
	}
	at := j.placed.Segments[n].At
	meta := j.meta
	meta.Acknowledged, meta.Beginning = j.placed.Acked, &at
	gone := j.placed.Segments[:n]
	j.placed.Trimmed = at.Size
	err := j.io(func() error {
		if err := writeMeta(j.writer.Disk, meta); err != nil {
			return err
		}
		return j.deleteFiles(gone)
	})
	if err != nil {
		return false, err
	}
	j.meta.Beginning = &at
	j.placed.RemoveFirst(n, time.Now())
	return true, nil
}

// deleteFiles deletes the files of segments. The first one's file stays, empty: it holds the
// lock.
func (j *Journal) deleteFiles(gone []*segment.Segment) error {
	for _, s := range gone {
		switch {
		case s.Name == disk.JournalFile:
			if err := s.File.Truncate(0); err != nil {
				return err
			}
		case s.Name != "":
			if err := j.deleteFile(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteFile deletes the file of a segment. One that is gone was deleted before a call failed.
func (j *Journal) deleteFile(s *segment.Segment) error {
	if err := j.writer.Disk.Remove(s.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = s.File.Close()
	return nil
}

// writePlaced writes the next chunk of what has its place.
func (j *Journal) writePlaced() (bool, error) {
	s := j.placed.Unfinished()
	if s == nil {
		return false, nil
	}
	name := disk.SegmentName(s.Start)
	if !s.InPlace && s.Name != "" { // it was in the tail
		from := s.Name
		if err := j.io(func() error { return j.writer.Disk.Rename(from, name) }); err != nil {
			return false, err
		}
		s.Name = name
	} else if done, err := j.writeChunk(s, name); !done {
		return false, err
	}
	s.InPlace = true
	j.writer.Notify = j.placed.Advance() || j.writer.Notify
	j.tail.ForgetCommits(&j.placed)
	return true, nil
}

// writeTail writes the next chunk of the tail.
func (j *Journal) writeTail() (bool, error) {
	if j.writer.HoldsOutput() {
		return false, nil
	}
	for _, s := range j.tail.Segments {
		switch {
		case s.Written == s.Size:
		case !j.tail.HasNote: // without it a recovery does not know where the segment belongs
			j.tail.NoteStale = true
			return j.writeNote()
		default:
			return j.writeChunk(s, disk.TailName(s.Number))
		}
	}
	return false, nil
}

// writeChunk writes the first chunk of a segment that is not written, and makes its file
// first. It does nothing where there is no room for output.
func (j *Journal) writeChunk(s *segment.Segment, name string) (bool, error) {
	data, output, ok := s.Unwritten()
	if !ok {
		return false, fmt.Errorf("%w: %s from %d on", errIncomplete, name, s.Written)
	}
	if output && j.writer.HoldsOutput() {
		return false, nil
	}
	at, f, ready, last := s.Written, s.File, s.Ready, j.writer.Final
	err := j.io(func() (err error) {
		if f == nil {
			if f, err = j.writer.Disk.Create(name); err != nil {
				return err
			}
		}
		if output && !last && j.writer.Async() {
			if ready, err = j.allocate(f, ready, at+int64(len(data))); err != nil {
				ready = j.allocateSome(f, ready, at)
				return err
			}
		}
		_, err = f.WriteAt(data, at)
		return err
	})
	if f != s.File {
		s.File, s.Name = f, name
		if s.Dropped {
			j.tail.Discard(s)
		}
	}
	s.Ready = ready
	if err != nil {
		return false, err
	}
	s.Written = at + int64(len(data))
	if output && j.writer.Probe {
		j.writer.SetRoom()
	}
	j.freeWritten(s)
	return true, nil
}

// freeWritten gives back the memory of what is in the file.
func (j *Journal) freeWritten(s *segment.Segment) {
	freed := s.FreeWritten(j.spare.Put)
	if slices.Contains(j.tail.Segments, s) {
		j.tail.Memory -= freed
	} else {
		j.placed.Memory -= freed
	}
}

// writeNote brings the note about the tail up to date, and deletes what was dropped.
func (j *Journal) writeNote() (bool, error) {
	t := &j.tail
	if !t.NoteStale {
		return false, nil
	}
	n, wanted := t.Note(&j.placed)
	dead, noted := t.Discarded, t.HasNote
	first := t.NoteFirst
	t.NoteStale, t.NoteFirst, t.HasNote = false, false, noted || wanted // from now on the disk may have it
	err := j.io(func() error {
		if !wanted {
			if !noted {
				return nil
			}
			if err := j.writer.Disk.Remove(disk.NoteFile); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		}
		data, err := json.Marshal(n)
		if err != nil {
			return err
		}
		if err := j.writer.Disk.Replace(disk.NoteFile, data, true); err != nil {
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
		t.NoteStale, t.NoteFirst = true, t.NoteFirst || first
		return false, err
	}
	t.HasNote = wanted
	t.Discarded = t.Discarded[len(dead):]
	return true, nil
}
