package spool

import (
	"errors"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
)

// writer is whoever calls the file system for a journal: the goroutine of Start, and before
// Start whoever appends. There is one at a time. Everybody else posts a request to it (see
// ask), so that no file is changed while a call that writes to it is under way.
type writer struct {
	async    atomic.Bool
	working  bool          // somebody is in drain
	closed   bool          // the files are closed: there is no more work
	since    time.Time     // when the call to the disk began that is under way; zero for none
	progress chan struct{} // closed and replaced when the writer got on
	wake     chan struct{} // cap 1
	ended    chan struct{} // closed when the goroutine has ended
	requests []*request    // not answered yet, oldest first
	notify   bool          // readers do not know yet of what is new
	final    bool          // all must come to the disk now, into the reserve too
	again    bool          // output is tried, to find out whether a disk has room that had none or is new
}

func newWriter() writer {
	return writer{progress: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// stuck reports whether the disk does not answer.
func (w *writer) stuck(now time.Time) bool {
	return !w.since.IsZero() && now.Sub(w.since) >= stuckAfter
}

// Start hands the writing to a goroutine, which Close or Remove ends: from here on nobody who
// appends waits for a disk that does not answer. changed is called when there is more to read.
func (j *Journal) Start(changed func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed = changed; !j.writer.async.Swap(true) {
		if j.disk != nil {
			j.durableAt = time.Now().Add(durableAfter)
			j.writer.again = true // before there is output, find out whether there is room for it
		}
		go j.run()
	}
}

func (j *Journal) run() {
	defer close(j.writer.ended)
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	for {
		j.drain()
		j.mu.Lock()
		closed, pause := j.writer.closed, j.pause()
		j.mu.Unlock()
		if closed {
			return
		}
		expired := timer.C
		if pause > 0 {
			timer.Reset(pause)
		} else {
			expired = nil
		}
		select {
		case <-j.writer.wake:
		case <-expired:
		}
	}
}

// pause is how long the writer waits when nobody wakes it; 0 for ever.
func (j *Journal) pause() time.Duration {
	switch {
	case j.disk != nil && (j.diskErr != nil || j.fullReason != ""):
		return retryAfter
	case !j.durableAt.IsZero():
		return max(1, time.Until(j.durableAt))
	}
	return 0
}

// wake makes the writer look for work. The caller does not hold mu.
func (j *Journal) wake() {
	if !j.writer.async.Load() {
		j.drain()
		return
	}
	select {
	case j.writer.wake <- struct{}{}:
	default:
	}
}

// drain does all the work there is, unless somebody is at it.
func (j *Journal) drain() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.writer.working {
		return
	}
	j.writer.working = true
	defer func() { j.writer.working = false }()
	for j.doOne() {
		if changed := j.changed; j.writer.notify && changed != nil {
			j.writer.notify = false
			j.mu.Unlock()
			changed()
			j.mu.Lock()
		}
	}
}

// doOne does one piece of work and reports whether there may be more. The caller holds mu.
func (j *Journal) doOne() bool {
	if j.writer.closed {
		return false
	}
	if j.serveFirst(false) {
		return true
	}
	now := time.Now()
	due := !now.Before(j.retryAt)
	if j.fullReason != "" && due {
		j.writer.again, j.retryAt = true, now.Add(retryAfter)
	}
	if j.disk != nil && (j.diskErr == nil || due) {
		worked, err := j.useDisk()
		if err != nil {
			j.failed(err, now)
			return true // there is work that needs no disk
		}
		if worked {
			j.diskErr = nil
			j.notifyProgress()
			return true
		}
		if j.writer.again { // nothing waits with which it could be tried
			if err := j.checkRoom(); err != nil {
				j.failed(err, now)
				return true
			}
			j.setRoom()
		}
	}
	if j.mayMove() {
		j.moveOldest()
		j.writer.notify = true
		j.notifyProgress()
		return true
	}
	return j.serveFirst(true) || j.makeDurable(now)
}

// makeDurable lets the journal survive a loss of power from now on, if it is time for it.
func (j *Journal) makeDurable(now time.Time) bool {
	if j.durableAt.IsZero() || now.Before(j.durableAt) {
		return false
	}
	j.durableAt = time.Time{}
	_ = j.io(func() error { return j.disk.MakeDurable(disk.MetaFile) }) // a disk that cannot do it is no worse than before
	return true
}

// failed notes that the disk refuses.
func (j *Journal) failed(err error, now time.Time) {
	j.retryAt = now.Add(retryAfter)
	j.writer.notify = true
	j.notifyProgress()
	if disk.Full(err) && !j.writer.final && (j.fullReason == "" || j.writer.again) {
		j.fullReason, j.writer.again = err.Error(), false
		return
	}
	j.diskErr = err
}

// setRoom notes that the disk has room for output again.
func (j *Journal) setRoom() {
	j.fullReason, j.writer.again, j.writer.notify = "", false, true
}

// holdsOutput reports whether output is not written because the disk is full.
func (j *Journal) holdsOutput() bool {
	return j.fullReason != "" && !j.writer.final && !j.writer.again
}

// io makes calls to the disk. Only what doOne calls may use it. The caller holds mu, which is
// given up for the call.
func (j *Journal) io(call func() error) error {
	j.writer.since = time.Now()
	j.mu.Unlock()
	err := call()
	j.mu.Lock()
	j.writer.since = time.Time{}
	return err
}

// notifyProgress wakes everybody who waits for the writer.
func (j *Journal) notifyProgress() {
	close(j.writer.progress)
	j.writer.progress = make(chan struct{})
}

// waitForRoom waits while more is queued than should be, and the disk gets on.
func (w *writer) waitForRoom(j *Journal) {
	if !w.async.Load() || j.memory+j.tail.memory <= queueLimit || !j.healthy() {
		return
	}
	timer := time.NewTimer(stuckAfter)
	defer timer.Stop()
	for j.memory+j.tail.memory > queueLimit && j.healthy() {
		progress := w.progress
		j.mu.Unlock()
		select {
		case <-progress:
			timer.Reset(stuckAfter)
		case <-timer.C:
			j.mu.Lock()
			return
		}
		j.mu.Lock()
	}
}

// await waits until a condition holds, which is evaluated under mu, and reports whether it
// does. It waits as long as the writer gets on: at most for limit without progress.
func (j *Journal) await(limit time.Duration, condition func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		j.wake()
		j.mu.Lock()
		ok, progress := condition(), j.writer.progress
		idle := !j.writer.async.Load() && !j.writer.working
		j.mu.Unlock()
		if ok || idle {
			return ok
		}
		select {
		case <-progress:
			timer.Reset(limit)
		case <-timer.C:
			return false
		}
	}
}

// AwaitWritten waits until everything appended so far is in the journal's files, but not for a
// disk that refuses to be written, and at most for limit. It does not wait for the disk to
// have it durably.
func (j *Journal) AwaitWritten(limit time.Duration) {
	until := j.Size()
	deadline := time.Now().Add(limit)
	j.await(max(0, limit), func() bool {
		return j.onDisk >= until || j.disk == nil || j.diskErr != nil || !time.Now().Before(deadline)
	})
}

var errSlow = errors.New("the disk does not answer")
