package segment

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
)

// Writer makes all calls to the file system that change a journal: in the goroutine of Start, and
// before Start in the goroutine that appends, one at a time. Other goroutines post a request (see
// Ask), so that no file is changed while a call that writes to it is under way.
type Writer struct {
	Disk disk.Directory // nil when there never was one
	// Err is why the disk is not written now, and FullReason why output is not.
	Err        error
	FullReason string
	RetryAt    time.Time // when it is tried again
	// DurableAt is when the journal shall be made to survive a loss of power; zero when it does,
	// or need not.
	DurableAt time.Time
	Notify    bool // readers are to be notified that there is more
	Final     bool // all must come to the disk now, into the reserve too
	Probe     bool // output is tried, to find out whether a disk has room that had none or is new
	Closed    bool // the files are closed: there is no more work
	// Ended is closed when the goroutine of Start has ended.
	Ended chan struct{}

	mu        *sync.Mutex // the journal's
	work      func() bool // does one piece of work, with mu held, and reports whether there may be more
	changed   func()      // more can be read; nil before Start
	async     atomic.Bool
	draining  bool          // a goroutine is in drain
	callBegan time.Time     // when the call to the disk began that is under way; zero for none
	progress  chan struct{} // closed and replaced when the writer has made progress
	wake      chan struct{} // cap 1
	requests  []*Request    // not answered yet, oldest first
}

const (
	// StuckAfter is how long one call to the disk may take before it is not waited for.
	StuckAfter = 250 * time.Millisecond
	// RetryDelay is when a disk that refused to be written is tried again.
	RetryDelay = time.Second
	// DurableAfter is the age from which on a journal survives a loss of power. A job that ends
	// sooner does not wait for the disk.
	DurableAfter = time.Second
)

// ErrSlow says that the disk did not answer in time.
var ErrSlow = errors.New("the disk does not answer")

// Init prepares a writer that does work under the mutex of a journal.
func (w *Writer) Init(mu *sync.Mutex, work func() bool) {
	w.mu, w.work = mu, work
	w.progress, w.wake, w.Ended = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
}

// Async reports whether Start was called.
func (w *Writer) Async() bool { return w.async.Load() }

// Start hands the writing to a goroutine, which ends when the writer is closed: from here on
// no append waits for a disk that does not answer. changed is called when there is more to read.
// The caller holds mu.
func (w *Writer) Start(changed func()) {
	if w.changed = changed; w.async.Swap(true) {
		return
	}
	if w.Disk != nil {
		w.DurableAt = time.Now().Add(DurableAfter)
		w.Probe = true // before there is output, find out whether there is room for it
	}
	go w.run()
}

func (w *Writer) run() {
	defer close(w.Ended)
	timer := time.NewTimer(RetryDelay)
	defer timer.Stop()
	for {
		w.drain()
		w.mu.Lock()
		closed, pause := w.Closed, w.pause()
		w.mu.Unlock()
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
		case <-w.wake:
		case <-expired:
		}
	}
}

// pause returns how long the writer waits unless it is woken; 0 for ever.
func (w *Writer) pause() time.Duration {
	switch {
	case w.Disk != nil && (w.Err != nil || w.FullReason != ""):
		return RetryDelay
	case !w.DurableAt.IsZero():
		return max(1, time.Until(w.DurableAt))
	}
	return 0
}

// Wake makes the writer search for work. The caller does not hold mu.
func (w *Writer) Wake() {
	if !w.async.Load() {
		w.drain()
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// drain does all the work there is, unless another goroutine does it.
func (w *Writer) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining {
		return
	}
	w.draining = true
	defer func() { w.draining = false }()
	for w.work() {
		if changed := w.changed; w.Notify && changed != nil {
			w.Notify = false
			w.mu.Unlock()
			changed()
			w.mu.Lock()
		}
	}
}

// Changed returns the function to call when readers cannot wait for the writer; nil when they can,
// or there are none.
func (w *Writer) Changed() func() {
	if w.Healthy() {
		return nil
	}
	return w.changed
}

// Stuck reports whether the disk does not answer.
func (w *Writer) Stuck(now time.Time) bool {
	return !w.callBegan.IsZero() && now.Sub(w.callBegan) >= StuckAfter
}

// Healthy reports whether output goes to the disk.
func (w *Writer) Healthy() bool {
	return w.Disk != nil && w.Err == nil && w.FullReason == "" && !w.Stuck(time.Now())
}

// HoldsOutput reports whether output is not written because the disk is full.
func (w *Writer) HoldsOutput() bool { return w.FullReason != "" && !w.Final && !w.Probe }

// SetRoom notes that the disk has room for output again.
func (w *Writer) SetRoom() { w.FullReason, w.Probe, w.Notify = "", false, true }

// Failed notes that a call to the disk has failed.
func (w *Writer) Failed(err error, now time.Time) {
	w.RetryAt = now.Add(RetryDelay)
	w.Notify = true
	w.NotifyProgress()
	if disk.Full(err) && !w.Final && (w.FullReason == "" || w.Probe) {
		w.FullReason, w.Probe = err.Error(), false
		return
	}
	w.Err = err
}

// Retry makes the writer try a disk again that has failed.
func (w *Writer) Retry() { w.RetryAt, w.FullReason, w.Err = time.Time{}, "", nil }

// IO makes calls to the disk, as a part of work. The caller holds mu, which is given up for the
// call.
func (w *Writer) IO(call func() error) error {
	w.callBegan = time.Now()
	w.mu.Unlock()
	err := call()
	w.mu.Lock()
	w.callBegan = time.Time{}
	return err
}

// NotifyProgress wakes all goroutines that wait for the writer.
func (w *Writer) NotifyProgress() {
	close(w.progress)
	w.progress = make(chan struct{})
}

// Progress returns a channel that is closed when the writer makes progress. The caller holds mu.
func (w *Writer) Progress() <-chan struct{} { return w.progress }

// Await waits until a condition holds, which is evaluated under mu, and reports whether it
// does. It waits as long as the writer makes progress: at most for limit without any.
func (w *Writer) Await(limit time.Duration, condition func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		w.Wake()
		w.mu.Lock()
		ok, progress := condition(), w.progress
		idle := !w.async.Load() && !w.draining
		w.mu.Unlock()
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

// AwaitWhile waits while a condition holds and the writer makes progress, at most for limit
// without any. The caller holds mu, which is released meanwhile.
func (w *Writer) AwaitWhile(limit time.Duration, condition func() bool) {
	if !condition() {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for condition() {
		progress := w.progress
		w.mu.Unlock()
		select {
		case <-progress:
			timer.Reset(limit)
		case <-timer.C:
			w.mu.Lock()
			return
		}
		w.mu.Lock()
	}
}

// Request is work that another goroutine requests of the writer. It is answered once.
type Request struct {
	Begun bool  // Serve was called
	Until int64 // for Serve to remember
	serve Serve
	reply chan error
}

// Serve serves a request, with mu held. idle says that there is no other work. It reports whether
// the request was answered, and with what.
type Serve func(r *Request, idle bool) (done bool, err error)

// Ask posts a request to the writer and waits for its reply, as long as the disk makes progress:
// at most for limit without any. A request without a reply by then is served when the disk answers.
func (w *Writer) Ask(limit time.Duration, serve Serve) error {
	r := &Request{serve: serve, reply: make(chan error, 1)}
	w.mu.Lock()
	if w.Closed {
		w.mu.Unlock()
		return os.ErrClosed
	}
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	err := ErrSlow
	answered := false
	w.Await(limit, func() bool {
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

// ServeFirst serves the oldest request. idle says that there is no other work. It reports
// whether the request was answered.
func (w *Writer) ServeFirst(idle bool) bool {
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
	for w.Closed && len(w.requests) > 0 { // no work follows that would serve them
		w.requests[0].reply <- os.ErrClosed
		w.requests = w.requests[1:]
	}
	w.NotifyProgress()
	return true
}
