package spool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
)

// request is what others want of the writer. It answers on reply, once.
type request struct {
	serve func(r *request, idle bool) (done bool, err error) // with mu held
	begun bool
	until int64 // of persist: what has to be on the disk
	reply chan error
}

// ask posts a request to the writer and waits for its reply, as long as the disk gets on: at
// most for limit without progress. What was not answered by then is done when the disk answers.
func (j *Journal) ask(limit time.Duration, serve func(r *request, idle bool) (bool, error)) error {
	r := &request{serve: serve, reply: make(chan error, 1)}
	j.mu.Lock()
	if j.writer.closed {
		j.mu.Unlock()
		return os.ErrClosed
	}
	j.writer.requests = append(j.writer.requests, r)
	j.mu.Unlock()
	err := errSlow
	answered := false
	j.await(limit, func() bool {
		if !answered {
			select {
			case err = <-r.reply:
				answered = true
			default:
			}
		}
		return answered
	})
	return err
}

// serveFirst serves the oldest request. idle says that there is no other work. It reports
// whether the request was answered.
func (j *Journal) serveFirst(idle bool) bool {
	w := &j.writer
	if len(w.requests) == 0 {
		return false
	}
	r := w.requests[0]
	done, err := r.serve(r, idle)
	if !done {
		return false
	}
	r.reply <- err
	w.requests = w.requests[1:]
	for w.closed && len(w.requests) > 0 { // nobody will come back to them
		w.requests[0].reply <- os.ErrClosed
		w.requests = w.requests[1:]
	}
	j.notifyProgress()
	return true
}

// settleLimit bounds the wait for a disk that does not answer at the end of a step and of the
// journal.
const settleLimit = 5 * time.Second

// takeLimit bounds the wait for a server that takes nothing of what a full disk has no room for.
const takeLimit = 500 * time.Millisecond

// Settle gives all output its place, and declares what was dropped. It drops what a full
// disk has no room for and the server does not take.
func (j *Journal) Settle() {
	j.waitForServer()
	j.mu.Lock()
	t := &j.tail
	_ = j.redo(true) // it was encoded by an agent of ours, and read when the journal was adopted
	if t.empty() {
		j.mu.Unlock()
		j.wake()
		return
	}
	t.moveAll = true
	for j.tailExceedsDisk() {
		j.dropOldest(j.dropReason())
	}
	j.mu.Unlock()
	placed := j.await(settleLimit, func() bool { return j.tail.empty() })
	j.mu.Lock()
	defer j.mu.Unlock()
	t.moveAll = false
	if placed {
		return
	}
	why := "the disk of the spool did not answer"
	if m := t.moving; m != nil {
		m.abandoned, t.moving = true, nil
		j.abandonMove(m, why)
	}
	for len(t.segments) > 0 {
		j.dropOldest(why)
	}
	m := &move{gaps: t.gaps}
	t.gaps = newTail().gaps
	j.finishMove(m, nil)
}

// waitForServer waits, on a full disk, while the server takes what the disk has no room for: as it
// does, the tail gets its place.
func (j *Journal) waitForServer() {
	timer := time.NewTimer(takeLimit)
	defer timer.Stop()
	for least := int64(math.MaxInt64); ; {
		j.mu.Lock()
		wanted, size, progress := j.tailExceedsDisk() && j.writer.async.Load(), j.tail.size(), j.writer.progress
		j.mu.Unlock()
		if !wanted {
			return
		}
		if size < least {
			least = size
			timer.Reset(takeLimit)
		}
		select {
		case <-progress:
		case <-timer.C:
			return
		}
	}
}

// Persist brings everything to the disk, once more also what it refused before. It returns
// the reason when the journal on disk is not whole. A disk that does not answer is waited for
// until it has made no progress for some seconds; what it does afterwards harms nothing.
func (j *Journal) Persist() error {
	j.Settle()
	err := j.ask(settleLimit, j.servePersist)
	if err == nil || j.dir == "" {
		return err
	}
	return fmt.Errorf("spool: write %s: %w", j.dir, err)
}

// servePersist serves Persist: at once when it is new, and then when all is written or refused.
func (j *Journal) servePersist(r *request, idle bool) (bool, error) {
	if j.disk == nil {
		return true, j.diskErr
	}
	if !r.begun {
		r.begun, r.until = true, j.state.Size
		j.writer.final, j.retryAt, j.fullReason, j.diskErr = true, time.Time{}, "", nil
		j.giveBackReserve()
		if j.placed[len(j.placed)-1].released { // what the server has needs no file, but something has to say so
			next, err := j.nextSegment()
			if err != nil {
				return true, err
			}
			j.placed = append(j.placed, next)
		}
	}
	holes := slices.ContainsFunc(j.placed, func(s *segment) bool { return s.released })
	switch {
	case j.diskErr != nil:
		return true, j.diskErr
	case j.onDisk >= r.until && !holes:
		return true, j.io(func() error { return j.disk.Holds(j.lock) })
	case idle:
		return true, errIncomplete
	}
	return false, nil
}

var errIncomplete = errors.New("not all of the journal could be written")

// giveBackReserve frees what was allocated ahead, for the files that follow.
func (j *Journal) giveBackReserve() {
	for _, s := range j.placed {
		if s.ready > s.written && s.file != nil {
			f, size := s.file, s.written
			_ = j.io(func() error { return f.Truncate(size) }) // what it does not free is missing later, which is an error then
			s.ready = 0
		}
	}
}

// closeLimit bounds the wait for a disk that does not answer when nothing more depends on it.
const closeLimit = 2 * stuckAfter

// Close writes what waits, gives up the lock and keeps the journal for whoever delivers it
// next. The error is for the note on how far the server is; the journal itself stays. A
// journal that is meant to be whole on the disk is brought there by Persist first. On a disk
// that does not answer, the writer goes on with it when that answers, or ends with the process.
func (j *Journal) Close() error {
	err := j.ask(closeLimit, j.serveClose)
	if err == nil {
		return nil
	}
	return fmt.Errorf("spool: close %s: %w", j.dir, err)
}

// serveClose serves Close, when there is no other work.
func (j *Journal) serveClose(_ *request, idle bool) (bool, error) {
	if !idle {
		return false, nil
	}
	j.writer.closed = true
	if j.disk == nil {
		return true, nil
	}
	j.giveBackReserve()
	changed := j.meta.Acknowledged != j.acked || j.meta.Refused != ""
	j.meta.Acknowledged = j.acked
	meta, files := j.meta, j.files()
	return true, j.io(func() error {
		var err error
		if changed {
			err = writeMeta(j.disk, meta)
		}
		closeAll(files)
		return errors.Join(err, j.lock.Close())
	})
}

// files are the open files of all segments but the first, which is the lock.
func (j *Journal) files() []disk.File {
	var all []disk.File
	for _, s := range slices.Concat(j.placed, j.tail.segments, j.tail.discarded) {
		if s.file != nil && s.name != disk.JournalFile {
			all = append(all, s.file)
		}
	}
	for _, c := range j.late {
		if c.segment != nil {
			all = append(all, c.segment.file)
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
func (j *Journal) serveRemove(*request, bool) (bool, error) {
	j.writer.closed = true
	if j.disk == nil {
		return true, nil
	}
	files := j.files()
	return true, j.io(func() error {
		err := j.disk.Clear()
		closeAll(files)
		return errors.Join(err, j.lock.Close())
	})
}
