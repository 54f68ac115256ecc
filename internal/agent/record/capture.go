package record

// This file reads what the job prints: a Capture drains one stream of one step, masks secrets in it
// and hands the output to the Recorder.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// pipeSize is what a pipe should hold, so that the job need not wait for us.
	pipeSize = 1 << 20
	// readSize bounds one read, and so one output record.
	readSize = 256 << 10
	// A read that brings less than lazyReadSize is followed by a pause: the job is slower
	// than we are, and waking for each of its writes would cost it half its speed. What
	// it can write in lazyReadDelay fits in the enlarged pipe.
	lazyReadSize  = 128 << 10
	lazyReadDelay = 500 * time.Microsecond
	// Of a pipe that could not be enlarged, the pause must not fill it.
	smallPipeDelay    = 100 * time.Microsecond
	smallPipeReadSize = 8 << 10
)

// source is the agent's end of a pipe, or of a terminal. The agent keeps a copy of the job's
// end, until release: a terminal that no process holds, because the job has redirected
// everything, would be hung up, and a pipe needs it to be released. Only then can the end of
// the stream be seen, and a deadline ends a read that waits.
type source interface {
	io.ReadCloser
	release(write *os.File)
	SetReadDeadline(at time.Time) error
}

// terminalReader is the agent's side of a job's terminal.
type terminalReader struct{ *os.File }

func (terminalReader) release(slave *os.File) { _ = slave.Close() }

// Capture drains one stream of one step into the journal.
type Capture struct {
	step     int
	stream   job.Stream
	read     source
	write    *os.File // our copy of the job's end
	enlarged bool     // the pipe holds pipeSize
	rec      *Recorder
	cores    *Cores        // nil in tests
	done     chan struct{} // closed when nothing more will be recorded
	held     atomic.Bool   // ended by its limit with the stream still held open
	hungUp   atomic.Bool   // ended because the caller's reader has gone away
	mask     *mask         // nil when there is nothing to mask; the draining goroutine's own
}

// mask is the state of masking one stream.
type mask struct {
	stream *redact.Stream
	rec    []byte // an output record in the making, with room for its frame
}

func newMask(secrets *redact.Set) *mask {
	if secrets == nil {
		return nil
	}
	return &mask{stream: secrets.Stream(), rec: make([]byte, front)}
}

// front is the size of what precedes the raw bytes in an output record.
const front = journal.FrameSize + journal.OutputPrefix

// CapturePipe makes a pipe for a stream of a step.
func (r *Recorder) CapturePipe(step int, stream job.Stream) (*Capture, error) {
	read, write, size, sizeErr, err := jobPipe(pipeSize)
	if err != nil {
		return nil, fmt.Errorf("make a pipe for %s: %w", stream, err)
	}
	c := r.capture(step, stream, read, write)
	c.enlarged = sizeErr == nil
	if sizeErr != nil && !errors.Is(sizeErr, errors.ErrUnsupported) {
		r.Note(step, fmt.Sprintf("the pipe for %s holds %d bytes instead of %d (%v): a job that prints fast may wait for the agent", stream, size, pipeSize, sizeErr))
	}
	return c, nil
}

// CaptureTerminal captures a terminal, whose output is one stream.
func (r *Recorder) CaptureTerminal(step int, master, slave *os.File) *Capture {
	return r.capture(step, job.Stdout, terminalReader{master}, slave)
}

func (r *Recorder) capture(step int, stream job.Stream, read source, write *os.File) *Capture {
	return &Capture{
		step: step, stream: stream, read: read, write: write, rec: r,
		done: make(chan struct{}), mask: newMask(r.cfg.Secrets),
	}
}

// Step returns the index of the step.
func (c *Capture) Step() int { return c.step }

// Stream returns which stream it is.
func (c *Capture) Stream() job.Stream { return c.stream }

// JobEnd returns what the job's process gets as its stream.
func (c *Capture) JobEnd() *os.File { return c.write }

// Done is closed when nothing more will be recorded.
func (c *Capture) Done() <-chan struct{} { return c.done }

// Held reports whether the capture was ended by its limit, while a process held the stream
// open.
func (c *Capture) Held() bool { return c.held.Load() }

// Start begins to drain. The goroutine ends at the end of the stream, or at its limit. cores
// may be nil.
func (c *Capture) Start(cores *Cores) {
	c.cores = cores
	go c.drain()
}

// Release lets the stream end. It is called when the job's process has ended. A second call
// does nothing.
func (c *Capture) Release() { c.read.release(c.write) }

// Discard closes both ends, for a process that did not start.
func (c *Capture) Discard() {
	_ = c.write.Close()
	_ = c.read.Close()
	close(c.done)
}

func (c *Capture) drain() {
	buf := make([]byte, front+readSize)
	below, pause := smallPipeReadSize, smallPipeDelay
	if c.enlarged {
		below, pause = lazyReadSize, lazyReadDelay
	}
	for {
		n, err := c.read.Read(buf[front:])
		next, more := c.handleRead(buf[:front+n], err)
		if !more {
			return
		}
		if next != nil {
			buf = next
		}
		if n < below {
			time.Sleep(pause)
		} else if c.cores != nil {
			c.cores.UseTwo()
		}
	}
}

// handleRead records what a read brought, and reports whether to go on, and with which memory if
// not the same.
func (c *Capture) handleRead(rec []byte, err error) (next []byte, more bool) {
	if len(rec) > front {
		next = c.record(rec)
	}
	if err != nil {
		c.recordRest()
		c.held.Store(errors.Is(err, os.ErrDeadlineExceeded) && !c.hungUp.Load())
		_ = c.read.Close()
		if c.hungUp.Load() {
			c.rec.Note(c.step, fmt.Sprintf("the caller's reader went away, so %s was closed for the job", c.what()))
		}
		close(c.done)
	}
	return next, err == nil
}

// record writes output that was read to the journal, masked. rec and next are those of
// Recorder.output.
func (c *Capture) record(rec []byte) (next []byte) {
	if c.mask == nil {
		return c.rec.output(rec, c.step, c.stream, time.Now(), true)
	}
	c.rec.noteOutput(time.Now()) // also when all of it is held back
	c.mask.rec = c.mask.stream.Mask(c.mask.rec[:front], rec[front:])
	c.recordMasked()
	return nil
}

// recordRest writes the output that masking has held back, at the end of the stream.
func (c *Capture) recordRest() {
	if c.mask != nil {
		c.mask.rec = c.mask.stream.Flush(c.mask.rec[:front])
		c.recordMasked()
	}
}

// recordMasked writes the masked bytes in records of at most readSize. The front of each record
// overwrites bytes before it, which are written already.
func (c *Capture) recordMasked() {
	for at := front; at < len(c.mask.rec); at += readSize {
		c.rec.output(c.mask.rec[at-front:min(at+readSize, len(c.mask.rec))], c.step, c.stream, time.Now(), false)
	}
}

// Limit ends the recording of a stream that was released at a time, even if a process still
// holds it open.
func (c *Capture) Limit(at time.Time) {
	_ = c.read.SetReadDeadline(at) // fails when it has ended
}
