package record

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pipeReader is the agent's end of a job's pipe. As long as the job runs, it reads with plain
// blocking calls: once somebody has polled a pipe, or given it to Go's poller, the kernel
// wakes its reader at every single write, also when it does not wait, and a job that writes line
// by line pays a tenth to three times of its own time for that (docs/engineering/benchmarks.md).
//
// A blocked read cannot be interrupted. So the agent keeps a copy of the job's end, and
// release writes a mark into it: from there on the pipe is polled, and can have a deadline.
type pipeReader struct {
	fd       int
	capacity int
	mark     [16]byte // random: no job prints it
	released atomic.Bool

	polled bool   // the mark was read; the reader's own, like the two below
	rest   []byte // read behind or before the mark, and not returned yet
	left   int    // how much may still be read after the deadline

	mu      sync.Mutex
	wake    int // an eventfd, readable when the deadline has passed; -1 for none
	timer   *time.Timer
	expired bool
	closed  bool
}

// jobPipe makes a pipe whose capacity is as near to want as the system allows: size says what
// it is, and sizeErr why it is less.
func jobPipe(want int) (r source, w *os.File, size int, sizeErr, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, 0, nil, os.NewSyscallError("pipe2", err)
	}
	if size, sizeErr = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, want); sizeErr != nil {
		size, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_GETPIPE_SZ, 0) // 0 when it fails too
	}
	p := &pipeReader{fd: fds[0], capacity: max(size, want), wake: -1}
	_, _ = rand.Read(p.mark[:]) // never fails
	return p, os.NewFile(uintptr(fds[1]), "|1"), size, sizeErr, nil
}

// release closes the agent's copy of the job's end: the job's process has ended, or never
// began, or its output is not wanted any more. Only then can the end of the pipe be seen, and
// a deadline hold.
func (p *pipeReader) release(w *os.File) {
	if p.released.Swap(true) {
		return
	}
	p.mu.Lock()
	if wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		p.wake = wake // without one, wait polls
	}
	p.mu.Unlock()
	_, _ = w.Write(p.mark[:]) // in one piece; the reader is there
	_ = w.Close()
}

// Read reads what there is, or waits for something. After the deadline it still returns what
// is in the pipe, but no more than fits in one, and then os.ErrDeadlineExceeded.
func (p *pipeReader) Read(b []byte) (int, error) {
	if !p.polled && len(p.rest) == 0 {
		n, err := p.readFirst(b)
		if n > 0 || err != nil || !p.polled {
			return n, err
		}
	}
	if len(p.rest) > 0 {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	return p.readPolled(b)
}

// readFirst reads with a blocking call. After release that brings the mark, sooner or later:
// then everything up to it, without it, is in rest.
func (p *pipeReader) readFirst(b []byte) (int, error) {
	n, err := p.read(b)
	if err != nil || !p.released.Load() {
		return n, err
	}
	p.rest = append(p.rest, b[:n]...)
	more := make([]byte, 64<<10)
	for {
		if before, after, found := bytes.Cut(p.rest, p.mark[:]); found {
			p.rest = append(before, after...)
			break
		}
		if n, err = p.read(more); err != nil {
			break // it comes again at the next read
		}
		p.rest = append(p.rest, more[:n]...)
	}
	p.polled, p.left = true, p.capacity
	_ = unix.SetNonblock(p.fd, true) // this end only
	return 0, nil
}

// readPolled reads with a deadline.
func (p *pipeReader) readPolled(b []byte) (int, error) {
	for {
		expired := p.hasExpired()
		if expired {
			b = b[:min(len(b), p.left)]
		}
		if len(b) == 0 {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := p.read(b)
		switch {
		case err == nil && expired:
			p.left -= n
			return n, nil
		case !errors.Is(err, unix.EAGAIN):
			return n, err
		case expired:
			return 0, os.ErrDeadlineExceeded
		}
		p.wait()
	}
}

// read makes one call to the system. At the end of the pipe it returns io.EOF.
func (p *pipeReader) read(b []byte) (int, error) {
	for {
		n, err := unix.Read(p.fd, b)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
	}
}

func (p *pipeReader) hasExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expired
}

// wait waits until there is something to read, everybody has closed the pipe, or the deadline
// has passed. Its errors do not matter: the caller reads again.
func (p *pipeReader) wait() {
	p.mu.Lock()
	wake, atMost := p.wake, -1
	p.mu.Unlock()
	if wake < 0 {
		atMost = 50 // milliseconds
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}, atMost)
}

// SetReadDeadline says when reading ends, of a pipe that was released. A deadline that has
// passed stays.
func (p *pipeReader) SetReadDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	if left := time.Until(at); left > 0 {
		p.timer = time.AfterFunc(left, p.expire)
		return nil
	}
	p.expireNow()
	return nil
}

func (p *pipeReader) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expireNow()
}

// expireNow wakes the reader that waits. The caller holds mu.
func (p *pipeReader) expireNow() {
	p.expired = true
	if !p.closed && p.wake >= 0 {
		_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails when it has been woken very often
	}
}

// Close closes the pipe. It is called by the goroutine that reads, or when none does.
func (p *pipeReader) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.wake >= 0 {
		_ = unix.Close(p.wake)
	}
	return os.NewSyscallError("close", unix.Close(p.fd))
}
