package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/spool/room"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/journal"
)

// ErrFull refuses a sample or note for which there is no room.
var ErrFull = errors.New("the journal has no room")

// ErrTrimmed says that bytes of a journal were deleted because the server had them. They do
// not come back.
var ErrTrimmed = errors.New("the beginning of the journal was deleted")

// Journal is one journal: a row of segments, each with a file, and memory for records that are not
// on the disk yet. Any goroutine may append and read; one writes to the disk (see Start).
//
// Past half of the limit, or of the memory where there is no disk, output goes into the
// tail: segments that have no place in the journal yet, of which the oldest is dropped when
// they become too many. When there is room again, or at the end of a step, what was dropped
// is declared as a gap and the tail takes its place behind it.
type Journal struct {
	dir    string
	lock   *os.File // the first segment's file
	limits Limits

	mu     sync.Mutex
	meta   Meta
	placed segment.Placed
	tail   segment.Tail
	writer segment.Writer
	spare  segment.Buffers
	noted  string // the installation that the meta file names
	// unattached is how many bytes of output an adoption dropped.
	unattached int64
}

// InMemory makes a journal without a file. why is what kept it from the disk.
func InMemory(meta Meta, limits Limits, why error) *Journal {
	j := newJournal(meta, limits)
	j.writer.Err = why
	j.placed.AddHeader()
	return j
}

func newJournal(meta Meta, limits Limits) *Journal {
	j := &Journal{meta: meta, noted: meta.Installation, limits: limits.withDefaults(), placed: segment.NewPlaced(), tail: segment.NewTail()}
	j.writer.Init(&j.mu, j.doOne)
	return j
}

// Path returns the journal's directory; empty when it is in memory only.
func (j *Journal) Path() string { return j.dir }

// Meta returns whose journal it is and where it is meant to go.
func (j *Journal) Meta() Meta {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.meta
}

// Size returns the length of the journal. What has no place in it yet is not counted.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.placed.State.Size
}

// Acknowledged returns how much of the journal the server has.
func (j *Journal) Acknowledged() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.placed.Acked
}

// Unsent returns how much can be read that the server does not have yet.
func (j *Journal) Unsent() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return max(0, j.readable()-j.placed.Acked)
}

// Waiting returns the size of everything that the server does not have yet.
func (j *Journal) Waiting() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.placed.Unsent() + j.tail.Size()
}

// DiskError returns why the disk is not written now; nil while it is.
func (j *Journal) DiskError() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.writer.Err
}

// Dropped reports whether output was dropped.
func (j *Journal) Dropped() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tail.GapCount > 0
}

// Append appends one record that is not output. It returns ErrFull when there is no room
// for a sample or a note; the reserve is for the rest. It never waits for the disk.
func (j *Journal) Append(r journal.Record) error {
	if len(r.Payload) > journal.MaxPayload {
		return fmt.Errorf("%s record: %d bytes are more than the %d a record holds", r.Type, len(r.Payload), journal.MaxPayload)
	}
	return j.append(journal.AppendRecord(nil, r))
}

// AppendJSON appends a record with v as its payload.
func (j *Journal) AppendJSON(t journal.Type, at time.Time, v any) error {
	r, err := journal.JSONRecord(t, at, v)
	if err != nil {
		return err
	}
	return j.Append(r)
}

func (j *Journal) append(rec []byte) error {
	j.mu.Lock()
	if !j.hasRoom(journal.Type(rec[8]), int64(len(rec))) {
		j.mu.Unlock()
		return ErrFull
	}
	err := j.appendPlaced(rec, false)
	j.notifyAndUnlock()
	return err
}

// notifyAndUnlock makes the writer search for work, and notifies the readers itself while the disk
// holds up the writer. The caller holds mu.
func (j *Journal) notifyAndUnlock() {
	changed := j.writer.Changed()
	j.mu.Unlock()
	j.wake()
	if changed != nil {
		changed()
	}
}

// hasRoom reports whether there is room for a record that is not output. Samples and notes may
// grow without bound; there are few of the others, and a run cannot be understood without them.
func (j *Journal) hasRoom(t journal.Type, n int64) bool {
	if t != journal.TypeSample && t != journal.TypeNote && t != journal.TypeStatus {
		return true
	}
	return j.room().AdmitsSample(n)
}

// room returns the state on which the rules of package room decide. The caller holds mu.
func (j *Journal) room() room.State {
	s := room.State{
		Limit: j.limits.Unsent, Memory: j.limits.Memory, Unsent: j.placed.Unsent(), PlacedMemory: j.placed.Memory,
		TailSize: j.tail.Size(), TailMemory: j.tail.Memory, TailSegments: len(j.tail.Segments),
		DiskWritable: j.healthy(), DiskFull: j.writer.FullReason != "",
	}
	if s.DiskFull {
		s.Reserved, s.ServerAccepts = j.placed.Reserved(), j.placed.RecentlyAcknowledged(time.Now())
	}
	return s
}

// Finish appends the outcome, with the length and digest of everything before it.
func (j *Journal) Finish(at time.Time, f journal.Final) error {
	j.mu.Lock()
	rec, err := j.placed.State.Finish(at, f)
	if err == nil {
		err = j.appendPlaced(rec, false)
	}
	j.notifyAndUnlock()
	return err
}

// appendPlaced appends a record at its place. The caller holds mu.
func (j *Journal) appendPlaced(rec []byte, own bool) error {
	return j.placed.Append(rec, own, j.segmentSize(journal.Type(rec[8]) == journal.TypeOutput))
}

// segmentSize returns the size at which a segment is full. Segments that may stay in memory are
// small, because memory is freed by whole segments. Records other than output go into the reserve
// of the last file, so a full disk does not make their segments small.
func (j *Journal) segmentSize(output bool) int64 {
	if j.healthy() || !output && j.writer.FullReason != "" && j.writer.Err == nil {
		return j.limits.Segment
	}
	return min(segment.MemorySize, j.limits.Segment)
}

// ReadAt reads from an offset. Like any io.ReaderAt it returns io.EOF with what there is
// when the journal ends first.
func (j *Journal) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := j.readSome(p[done:], offset+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readSome reads from one segment.
func (j *Journal) readSome(p []byte, offset int64) (int, error) {
	j.mu.Lock()
	end := j.readable()
	s := j.placed.Find(offset)
	if offset < j.placed.Trimmed {
		defer j.mu.Unlock()
		return 0, trimmedError(offset, j.placed.Trimmed)
	}
	if s == nil || offset >= end {
		j.mu.Unlock()
		return 0, io.EOF
	}
	from := offset - s.Start
	p = p[:min(int64(len(p)), end-offset, s.Size-from)]
	if from >= s.Written || !s.InPlace && s.File == nil {
		defer j.mu.Unlock()
		if !s.InMemory(from) {
			return 0, trimmedError(offset, s.End())
		}
		return s.ReadMemory(p, from), nil
	}
	f, n := s.File, min(int64(len(p)), s.Written-from)
	j.mu.Unlock()
	got, err := f.ReadAt(p[:n], from)
	if err == nil {
		return got, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if offset < j.placed.Trimmed { // meanwhile
		return 0, trimmedError(offset, j.placed.Trimmed)
	}
	if errors.Is(err, io.EOF) { // which would be the end of the journal
		err = io.ErrUnexpectedEOF
	}
	return got, fmt.Errorf("spool: read %s at %d: %w", j.dir, offset, err)
}

func trimmedError(offset, first int64) error {
	return fmt.Errorf("%w: it begins at byte %d, and byte %d was asked for", ErrTrimmed, first, offset)
}

// Readable returns the offset up to which readers may read.
func (j *Journal) Readable() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readable()
}

// readable returns the offset up to which readers may read. While the disk works that is what is
// on it: an agent that adopts the journal after a crash then has all that readers have passed on.
func (j *Journal) readable() int64 {
	if j.healthy() {
		return j.placed.OnDisk
	}
	return j.placed.State.Size
}

// healthy reports whether output goes to the disk.
func (j *Journal) healthy() bool { return j.writer.Healthy() }

// Acknowledge notes how much of the journal the server has. That may be less than before, after a
// server has lost the end.
func (j *Journal) Acknowledge(size int64) {
	j.mu.Lock()
	j.placed.Acknowledge(size, time.Now())
	if !j.healthy() {
		j.placed.Release()
	}
	j.placed.Advance()
	j.mu.Unlock()
	j.wake()
}

// Refuse notes in the spool that the server will never take this journal, so that no agent tries to
// deliver it again.
func (j *Journal) Refuse(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.meta.Refused = why
}

// SetInstallation notes in the spool the id of the installation that has taken a part of the journal.
func (j *Journal) SetInstallation(id string) {
	j.mu.Lock()
	changed := id != "" && j.meta.Installation != id
	if changed {
		j.meta.Installation = id
	}
	j.mu.Unlock()
	if changed {
		j.wake()
	}
}
