package spool

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
)

// ask posts a request to the writer and waits for its reply, as long as the disk makes progress:
// at most for limit without any. A request without a reply by then is served when the disk answers.
func (j *Journal) ask(limit time.Duration, serve segment.Serve) error {
	return j.writer.Ask(limit, serve)
}

// placeLimit bounds the wait for a disk that does not answer at the end of a step and of the
// journal.
const placeLimit = 5 * time.Second

// acknowledgeLimit bounds the wait for a server that takes nothing of what a full disk has no room for.
const acknowledgeLimit = 500 * time.Millisecond

// PlaceTail moves all output of the tail to its place in the journal, and declares dropped output
// as gaps. It drops output for which a full disk has no room and that the server does not take.
func (j *Journal) PlaceTail() {
	j.waitForServer()
	j.mu.Lock()
	t := &j.tail
	_ = j.applyLate(true) // an agent encoded the records, and they were read when the journal was adopted
	if t.Empty() {
		j.mu.Unlock()
		j.wake()
		return
	}
	t.MoveAll = true
	for j.room().TailExceedsDisk() {
		t.DropOldest(j.dropReason())
	}
	j.mu.Unlock()
	placed := j.await(placeLimit, func() bool { return j.tail.Empty() })
	j.mu.Lock()
	defer j.mu.Unlock()
	t.MoveAll = false
	if placed {
		return
	}
	why := "the disk of the spool did not answer"
	if m := t.Moving; m != nil {
		m.Abandoned, t.Moving = true, nil
		t.AbandonMove(m, why)
	}
	for len(t.Segments) > 0 {
		t.DropOldest(why)
	}
	m := t.BeginMove()
	t.Moving = nil
	j.finishMove(m, nil)
}

// waitForServer waits, on a full disk, while the server takes what the disk has no room for: as it
// does, the tail gets its place.
func (j *Journal) waitForServer() {
	timer := time.NewTimer(acknowledgeLimit)
	defer timer.Stop()
	for least := int64(math.MaxInt64); ; {
		j.mu.Lock()
		wanted, size, progress := j.room().TailExceedsDisk() && j.writer.Async(), j.tail.Size(), j.writer.Progress()
		j.mu.Unlock()
		if !wanted {
			return
		}
		if size < least {
			least = size
			timer.Reset(acknowledgeLimit)
		}
		select {
		case <-progress:
		case <-timer.C:
			return
		}
	}
}

// Persist writes everything to the disk, also what the disk refused before. It returns the reason
// if the journal on the disk is not whole. It waits for a disk that does not answer until that has
// made no progress for some seconds; writes that finish later do no harm.
func (j *Journal) Persist() error {
	j.PlaceTail()
	err := j.ask(placeLimit, j.servePersist)
	if err == nil || j.dir == "" {
		return err
	}
	return fmt.Errorf("spool: write %s: %w", j.dir, err)
}

// servePersist serves Persist: at once when it is new, and then when all is written or refused.
func (j *Journal) servePersist(r *segment.Request, idle bool) (bool, error) {
	if j.writer.Disk == nil {
		return true, j.writer.Err
	}
	if !r.Begun {
		r.Begun, r.Until = true, j.placed.State.Size
		j.writer.Final = true
		j.writer.Retry()
		j.giveBackReserve()
		if j.placed.Last().Released { // what the server has needs no file, but something has to say so
			next, err := j.placed.Next()
			if err != nil {
				return true, err
			}
			j.placed.Segments = append(j.placed.Segments, next)
		}
	}
	switch {
	case j.writer.Err != nil:
		return true, j.writer.Err
	case j.placed.OnDisk >= r.Until && !j.placed.HasHoles():
		return true, j.io(func() error { return j.writer.Disk.CheckLock(j.lock) })
	case idle:
		return true, errIncomplete
	}
	return false, nil
}

var errIncomplete = errors.New("not all of the journal could be written")

// giveBackReserve frees what was allocated ahead, for the files that follow.
func (j *Journal) giveBackReserve() {
	for _, s := range j.placed.Segments {
		if s.Ready > s.Written && s.File != nil {
			f, size := s.File, s.Written
			_ = j.io(func() error { return f.Truncate(size) }) // what it does not free is missing later, which is an error then
			s.Ready = 0
		}
	}
}

// closeLimit bounds the wait for a disk that does not answer when nothing more depends on it.
const closeLimit = 2 * segment.StuckAfter

// Close writes what waits, gives up the lock and leaves the journal in the spool for a later
// delivery. The error is about the note of how much the server has; the journal itself stays.
// Persist, called before, brings the whole journal to the disk. On a disk that does not answer,
// the writer continues when the disk answers, or ends with the process.
func (j *Journal) Close() error {
	err := j.ask(closeLimit, j.serveClose)
	if err == nil {
		return nil
	}
	return fmt.Errorf("spool: close %s: %w", j.dir, err)
}

// serveClose serves Close, when there is no other work.
func (j *Journal) serveClose(_ *segment.Request, idle bool) (bool, error) {
	if !idle {
		return false, nil
	}
	j.writer.Closed = true
	if j.writer.Disk == nil {
		return true, nil
	}
	j.giveBackReserve()
	changed := j.meta.Acknowledged != j.placed.Acked || j.meta.Refused != "" || j.meta.Installation != j.noted
	j.meta.Acknowledged = j.placed.Acked
	meta, files := j.meta, j.files()
	return true, j.io(func() error {
		var err error
		if changed {
			err = writeMeta(j.writer.Disk, meta)
		}
		closeAll(files)
		return errors.Join(err, j.lock.Close())
	})
}

// files returns the open files of all segments but the first, which is the lock.
func (j *Journal) files() []disk.File {
	var all []disk.File
	for _, s := range slices.Concat(j.placed.Segments, j.tail.Segments, j.tail.Discarded) {
		if s.File != nil && s.Name != disk.JournalFile {
			all = append(all, s.File)
		}
	}
	for _, c := range j.tail.Late {
		if c.Segment != nil {
			all = append(all, c.Segment.File)
		}
	}
	return all
}

func closeAll(files []disk.File) {
	for _, f := range files {
		_ = f.Close() // it was written with plain calls: nothing is held back
	}
}

// Remove deletes the journal: it was delivered.
func (j *Journal) Remove() error {
	if err := j.ask(closeLimit, j.serveRemove); err != nil {
		return fmt.Errorf("spool: remove %s: %w", j.dir, err)
	}
	return nil
}

// serveRemove serves Remove, at once: what has not been written is of no use any more.
func (j *Journal) serveRemove(*segment.Request, bool) (bool, error) {
	j.writer.Closed = true
	if j.writer.Disk == nil {
		return true, nil
	}
	files := j.files()
	return true, j.io(func() error {
		err := j.writer.Disk.Clear()
		closeAll(files)
		return errors.Join(err, j.lock.Close())
	})
}
