//go:build linux || darwin

package terminal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

const (
	// foregroundInterval is how often is checked whether this process is in the foreground of a
	// terminal, and so may read it.
	foregroundInterval = 250 * time.Millisecond
	// endOfInput is what is typed to end the input: Ctrl-D.
	endOfInput = 4
)

// Keyboard copies what the caller types, or what its pipe or file holds, to a job's
// pseudo-terminal.
//
// A terminal is put into raw mode, so that Ctrl-C and all the others are the job's, for as
// long as this process is in its foreground; in the background it is neither read nor
// changed. The caller must ignore SIGTTOU and SIGTTIN: a check may come too late.
//
// Shutdown: Stop wakes the goroutine and waits for its end, gives the terminal its mode back
// but for the treatment of output, and closes the pipe that wakes. Close gives the rest of
// the mode back. Neither touches a terminal that a shell has taken over meanwhile.
type Keyboard struct {
	in       *os.File
	fd       int
	isTTY    bool
	master   *os.File
	wake     *os.File
	sleeper  *os.File
	done     chan struct{}
	stopping sync.Once
	closing  sync.Once
	saved    *unix.Termios // the goroutine's, then Stop's
	lastByte byte
}

// Connect begins to copy from in to master.
func Connect(in, master *os.File) (*Keyboard, error) {
	sleeper, wake, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("connect stdin with the job's terminal: %w", err)
	}
	k := &Keyboard{
		in: in, fd: int(in.Fd()), master: master, sleeper: sleeper, wake: wake,
		done: make(chan struct{}), lastByte: '\n',
	}
	k.isTTY = term.IsTerminal(k.fd)
	_ = master.SetWriteDeadline(time.Time{}) // which the Close of an earlier one has set
	go k.copy()
	return k, nil
}

// Stop ends the copying, so that Ctrl-C is a signal for the caller again. Output still
// reaches the terminal as the job sent it: the job's own terminal has put the carriage
// returns in. A nil Keyboard and a second call are harmless.
func (k *Keyboard) Stop() {
	if k == nil {
		return
	}
	k.stopping.Do(func() {
		_ = k.wake.Close()
		_ = k.master.SetWriteDeadline(time.Now()) // frees a write that the job does not read
		<-k.done
		_ = k.sleeper.Close()
		if now, err := unix.IoctlGetTermios(k.fd, getMode); err == nil && k.saved != nil {
			mode := *k.saved
			mode.Oflag = now.Oflag
			k.setMode(&mode)
		}
	})
}

// Close stops the copying and gives the terminal back; all output has been written. A nil
// Keyboard and a second call are harmless.
func (k *Keyboard) Close() {
	if k == nil {
		return
	}
	k.Stop()
	k.closing.Do(func() {
		if k.saved != nil {
			k.setMode(k.saved)
		}
	})
}

// setMode changes the terminal's mode if this process is in its foreground.
func (k *Keyboard) setMode(mode *unix.Termios) {
	if k.foreground() {
		_ = unix.IoctlSetTermios(k.fd, setMode, mode) // a terminal that is gone has no mode
	}
}

// copy ends at Stop, at the end of the input, or when the job's terminal is gone.
func (k *Keyboard) copy() {
	defer close(k.done)
	buf := make([]byte, 4096)
	raw := false
	for {
		if k.isTTY && !k.foreground() {
			raw = false // the process in the foreground may have set the mode since
			if _, closed := k.wait(false); closed {
				return
			}
			continue
		}
		if k.isTTY && !raw {
			raw = true
			k.makeRaw()
		}
		ready, closed := k.wait(true)
		if closed {
			return
		}
		if !ready || k.isTTY && !k.foreground() {
			continue
		}
		n, err := unix.Read(k.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
		case err != nil || n <= 0:
			k.end()
			return
		case !k.write(buf[:n]):
			return
		}
	}
}

// makeRaw keeps the first mode it finds: the one that Close gives back.
func (k *Keyboard) makeRaw() {
	before, err := unix.IoctlGetTermios(k.fd, getMode)
	if err != nil {
		return
	}
	if _, err := term.MakeRaw(k.fd); err == nil && k.saved == nil {
		k.saved = before
	}
}

func (k *Keyboard) write(data []byte) bool {
	k.lastByte = data[len(data)-1]
	_, err := k.master.Write(data)
	return err == nil
}

// end types Ctrl-D: once on a line that has begun only hands over what it holds.
func (k *Keyboard) end() {
	if k.lastByte != '\n' {
		_ = k.write([]byte{endOfInput}) // the job's terminal is gone, or takes the next one too
	}
	_ = k.write([]byte{endOfInput})
}

// foreground reports whether this process may read the terminal without being stopped. A
// terminal that is not the controlling one stops nobody.
func (k *Keyboard) foreground() bool {
	if !k.isTTY {
		return true
	}
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// wait waits for Stop, and for input if that is wanted. At a terminal it returns before
// long in any case: it may have changed hands.
func (k *Keyboard) wait(input bool) (ready, closed bool) {
	atMost, second := time.Duration(-1), -1
	if k.isTTY {
		atMost = foregroundInterval
	}
	if input {
		second = k.fd
	}
	closed, ready = readable(int(k.sleeper.Fd()), second, atMost)
	return ready, closed
}
