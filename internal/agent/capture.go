package agent

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// pipeSize is what a pipe should hold, so that the job need not wait for us.
	pipeSize = 1 << 20
	// readSize bounds one read, and so one output record.
	readSize = 256 << 10
	// A read that brings less than lazyBelow is followed by a pause: the job is slower
	// than we are, and waking for each of its writes would cost it half its speed. What
	// it can write in lazyPause fits in the enlarged pipe.
	lazyBelow = 128 << 10
	lazyPause = 500 * time.Microsecond
	// Of a pipe that could not be enlarged, the pause must not fill it.
	smallPause = 100 * time.Microsecond
	smallBelow = 8 << 10
)

// capture drains one stream of one step into the journal.
type capture struct {
	step   int
	stream job.Stream
	read   *os.File
	write  *os.File // the job's end; closed here once the process has it
	large  bool
	rec    *recorder
	cores  *cores        // nil in tests
	done   chan struct{} // closed when nothing more will be recorded
	bytes  atomic.Int64  // read so far
	stuck  atomic.Bool   // ended by its limit with the pipe still held open

	mu   sync.Mutex
	over bool  // done is closed
	mask *mask // nil when there is nothing to mask
}

// front is what stands before the raw bytes in an output record.
const front = journal.FrameSize + journal.OutputPrefix

func newCapture(rec *recorder, step int, stream job.Stream) (*capture, error) {
	r, w, err := blockingPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for %s: %w", stream, err)
	}
	c := captureOf(rec, step, stream, r, w)
	size, err := enlarge(r, pipeSize)
	c.large = err == nil
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		rec.note(step, fmt.Sprintf("the pipe for %s holds %d bytes instead of %d (%v): a job that prints fast may wait for the agent", stream, size, pipeSize, err))
	}
	return c, nil
}

// captureOf is for every pair of ends, a pipe's or a terminal's.
func captureOf(rec *recorder, step int, stream job.Stream, read, write *os.File) *capture {
	return &capture{
		step: step, stream: stream, read: read, write: write, rec: rec,
		done: make(chan struct{}), mask: newMask(rec.secrets),
	}
}

// start closes our copy of the job's end and begins to drain. The goroutine ends at the
// end of the pipe. One that is cut off by limit while somebody outside of the run holds the
// pipe open ends with that, or with the agent.
func (c *capture) start() {
	_ = c.write.Close() // the process has its own copy
	go c.drain()
}

// discard gives back the pipe of a process that did not start.
func (c *capture) discard() {
	_ = c.write.Close()
	_ = c.read.Close()
	close(c.done)
}

func (c *capture) drain() {
	defer c.read.Close()
	buf := make([]byte, front+readSize)
	below, pause := smallBelow, smallPause
	if c.large {
		below, pause = lazyBelow, lazyPause
	}
	for {
		n, err := c.read.Read(buf[front:])
		next, more := c.take(buf[:front+n], err)
		if !more {
			return
		}
		if next != nil {
			buf = next
		}
		if n < below {
			time.Sleep(pause)
		} else if c.cores != nil {
			c.cores.hurry()
		}
	}
}

// take records what a read brought, and reports whether to go on, and with which memory if
// not the same.
func (c *capture) take(rec []byte, err error) (next []byte, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, false
	}
	if n := len(rec) - front; n > 0 {
		c.bytes.Add(int64(n))
		next = c.keep(rec)
	}
	if err != nil {
		c.end(errors.Is(err, os.ErrDeadlineExceeded))
	}
	return next, err == nil
}

// end is the last word on the stream. The caller holds mu.
func (c *capture) end(stuck bool) {
	c.over = true
	c.keepHeld()
	c.stuck.Store(stuck)
	close(c.done)
}

// limit ends the recording at a time, whoever still holds the pipe open.
func (c *capture) limit(at time.Time) {
	if c.read.SetReadDeadline(at) == nil {
		return // a terminal's end is watched by the poller
	}
	time.AfterFunc(time.Until(at), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.over {
			c.end(true)
		}
	})
}
