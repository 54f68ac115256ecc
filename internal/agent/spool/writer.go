package spool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// writer is the state of whoever writes to the disk: the goroutine of Start, and before it
// whoever appends.
type writer struct {
	async atomic.Bool
	at    bool          // somebody is at work
	over  bool          // it was told to end
	since time.Time     // when the call to the disk began that is under way; zero for none
	moved chan struct{} // closed and replaced when the writer got on
	wake  chan struct{} // cap 1
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended
	tell  bool          // readers have not been told of what is new
	last  bool          // all must come to the disk now, into the reserve too
}

func newWriter() writer {
	return writer{
		moved: make(chan struct{}), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// stuck reports whether the disk does not answer.
func (w *writer) stuck(now time.Time) bool {
	return !w.since.IsZero() && now.Sub(w.since) >= stuckAfter
}

// Start hands the writing to a goroutine, which Close ends: from here on nobody who appends
// waits for a disk that stands still. changed is called when there is more to read.
func (j *Journal) Start(changed func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed = changed; !j.writer.async.Swap(true) {
		go j.run()
	}
}

func (j *Journal) run() {
	defer close(j.writer.ended)
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	for {
		j.pump()
		j.mu.Lock()
		retry := j.disk != nil && (j.trouble != nil || j.noRoom != "")
		j.mu.Unlock()
		over := timer.C
		if retry {
			timer.Reset(retryAfter)
		} else {
			over = nil
		}
		select {
		case <-j.writer.wake:
		case <-over:
		case <-j.writer.stop:
			return
		}
	}
}

// kick lets the writer look for work. The caller does not hold mu.
func (j *Journal) kick() {
	if !j.writer.async.Load() {
		j.pump()
		return
	}
	select {
	case j.writer.wake <- struct{}{}:
	default:
	}
}

// pump does all the work there is, unless somebody is at it.
func (j *Journal) pump() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.writer.at {
		return
	}
	j.writer.at = true
	defer func() { j.writer.at = false }()
	for j.step() {
		if changed := j.changed; j.writer.tell && changed != nil {
			j.writer.tell = false
			j.mu.Unlock()
			changed()
			j.mu.Lock()
		}
	}
}

// step does one piece of work and reports whether there may be more. The caller holds mu.
func (j *Journal) step() bool {
	if j.disk == nil {
		if j.mayPlace() {
			j.place()
			j.writer.tell = true
			j.moved()
			return true
		}
		return false
	}
	now := time.Now()
	due := !now.Before(j.retryAt)
	if j.noRoom != "" && due {
		j.noRoom = "" // look again
		j.retryAt = now.Add(retryAfter)
	}
	if j.trouble == nil || due {
		worked, err := j.work()
		if err != nil {
			j.failed(err, now)
			return true // there is work that needs no disk
		}
		if worked {
			j.trouble = nil
			j.moved()
			return true
		}
	}
	if j.mayPlace() {
		j.place()
		j.writer.tell = true
		j.moved()
		return true
	}
	return false
}

// failed notes that the disk refuses.
func (j *Journal) failed(err error, now time.Time) {
	j.retryAt = now.Add(retryAfter)
	j.writer.tell = true
	j.moved()
	if full(err) && !j.writer.last && j.noRoom == "" {
		j.noRoom = err.Error()
		return
	}
	j.trouble = err
}

// io makes a call to the disk. The caller holds mu, which is given up for the call.
func (j *Journal) io(call func() error) error {
	j.writer.since = time.Now()
	j.mu.Unlock()
	err := call()
	j.mu.Lock()
	j.writer.since = time.Time{}
	return err
}

// moved wakes who waits for the writer.
func (j *Journal) moved() {
	close(j.writer.moved)
	j.writer.moved = make(chan struct{})
}

// waitForRoom waits while more is queued than should be, and the disk gets on.
func (w *writer) waitForRoom(j *Journal) {
	if !w.async.Load() || j.memory+j.tail.memory <= queueLimit || !j.healthy() {
		return
	}
	timer := time.NewTimer(stuckAfter)
	defer timer.Stop()
	for j.memory+j.tail.memory > queueLimit && j.healthy() {
		moved := w.moved
		j.mu.Unlock()
		select {
		case <-moved:
			timer.Reset(stuckAfter)
		case <-timer.C:
			j.mu.Lock()
			return
		}
		j.mu.Lock()
	}
}

// await waits until what is said under mu is true, or for a time.
func (j *Journal) await(limit time.Duration, what func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		j.mu.Lock()
		ok, moved := what(), j.writer.moved
		j.mu.Unlock()
		if ok {
			return true
		}
		j.kick()
		if !j.writer.async.Load() {
			j.mu.Lock()
			defer j.mu.Unlock()
			return what()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// settleLimit bounds the wait for a busy disk at the end of a step and of the journal.
const settleLimit = 5 * time.Second

// Settle gives all output its place, and declares what was dropped. It drops what a full
// disk has no room for.
func (j *Journal) Settle() {
	j.mu.Lock()
	t := &j.tail
	if t.empty() {
		j.mu.Unlock()
		return
	}
	t.settle = true
	for len(t.segments) > 1 && j.noRoom != "" && t.size() > tailLimit {
		j.dropOldest(j.why())
	}
	j.mu.Unlock()
	j.kick()
	placed := j.await(settleLimit, func() bool { return j.tail.empty() })
	j.mu.Lock()
	defer j.mu.Unlock()
	t.settle = false
	if placed {
		return
	}
	why := "the disk of the spool did not answer"
	if m := t.moving; m != nil {
		m.abandoned, t.moving = true, nil
		j.giveUp(m, why)
	}
	for len(t.segments) > 0 {
		j.dropOldest(why)
	}
	m := &move{gaps: t.gaps}
	t.gaps = newTail().gaps
	j.arrive(m, nil)
}

// Persist brings everything to the disk, once more also what it refused before. It returns
// the reason when the journal on disk is not whole.
func (j *Journal) Persist() error {
	j.Settle()
	j.mu.Lock()
	if j.disk == nil {
		defer j.mu.Unlock()
		return j.trouble
	}
	j.writer.last, j.retryAt, j.noRoom = true, time.Time{}, ""
	j.trouble = nil
	j.giveBackReserve()
	j.mu.Unlock()
	j.await(settleLimit, func() bool { return j.onDisk == j.state.Size || j.trouble != nil })
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.trouble != nil:
		return fmt.Errorf("spool: write %s: %w", j.dir, j.trouble)
	case j.onDisk < j.state.Size:
		return fmt.Errorf("spool: write %s: %w", j.dir, errSlow)
	}
	return j.present()
}

// giveBackReserve frees what was allocated ahead, for the files that follow.
func (j *Journal) giveBackReserve() {
	for _, s := range j.placed {
		if s.ready > s.written && s.file != nil && !j.writer.stuck(time.Now()) {
			_ = s.file.Truncate(s.written) // what it does not free is missing below, which is an error there
			s.ready = 0
		}
	}
}

var errSlow = errors.New("the disk does not answer")
