//go:build linux || darwin

package notify

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxDrained limits the messages that are still read when the attempt ends.
const maxDrained = 4096

// Handler is what the owner of a Socket does with messages. It is called from one goroutine,
// and not after Close has returned.
type Handler struct {
	// Message is called for every datagram.
	Message func(Message)
	// Raw is called with the same datagram as it was sent, before Message; may be nil.
	Raw func(datagram []byte)
	// Status is called for a status that has changed, once in StatusInterval at most; for the
	// last one always, at the latest during Close.
	Status func(text string)
	// Refused is called, once for each reason, when a message of this user is not taken.
	Refused func(why string)
}

// After so many messages of other users the reader pauses for a while, so that they use hardly any
// CPU of the agent.
const (
	strangersLimit = 16
	strangersPause = 100 * time.Millisecond
)

// Socket is where one attempt's job sends its messages.
//
// Shutdown, in Close: 1. the reader is woken, 2. it takes what waits in the socket, 3. it
// reports a status that was held back, 4. it ends, 5. the socket is closed, and removed if it
// is not in the caller's directory.
type Socket struct {
	conn      *net.UnixConn
	remove    func()
	handler   Handler
	ending    atomic.Bool
	end       chan struct{} // closed with ending
	done      chan struct{}
	once      sync.Once
	refused   map[string]bool
	strangers int // messages of other users since the last pause
	pace      pace
}

// Listen makes the socket in dir, a directory that only this user may enter, and starts to
// read it. It makes a directory of its own where dir is empty or cannot be used. The file
// in dir stays: deleting it could wait for a disk.
func Listen(dir string, handler Handler) (*Socket, error) {
	conn, remove, err := bind(dir)
	if err != nil {
		return nil, err
	}
	return listen(conn, remove, handler)
}

func listen(conn *net.UnixConn, remove func(), handler Handler) (*Socket, error) {
	if err := identifySenders(conn); err != nil {
		err = errors.Join(err, conn.Close())
		remove()
		return nil, err
	}
	s := &Socket{conn: conn, remove: remove, handler: handler, end: make(chan struct{}), done: make(chan struct{}), refused: map[string]bool{}}
	go s.run()
	return s, nil
}

// Address returns the value of NOTIFY_SOCKET.
func (s *Socket) Address() string { return s.conn.LocalAddr().String() }

// Close handles the messages that were sent before, and closes the socket.
func (s *Socket) Close() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		s.ending.Store(true)
		close(s.end)
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		<-s.done
		_ = s.conn.Close()
		s.remove()
	})
}

// run reads until Close.
func (s *Socket) run() {
	defer close(s.done)
	in := newInbox()
	for !s.ending.Load() {
		_ = s.conn.SetReadDeadline(s.pace.due())
		if s.ending.Load() {
			break // Close may have set its deadline before ours
		}
		n, oobn, flags, _, err := s.conn.ReadMsgUnix(in.data, in.oob)
		if err == nil {
			s.take(in, n, oobn, flags)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			break // nothing more can come
		}
		s.reportLate(false)
		s.pauseReading()
	}
	s.drain(in)
	s.reportLate(true)
}

// pauseReading lets messages of other users wait.
func (s *Socket) pauseReading() {
	if s.strangers < strangersLimit {
		return
	}
	s.strangers = 0
	pause := time.NewTimer(strangersPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-s.end:
	}
}

// reportLate reports the status that was held back, if it is due or ending is set.
func (s *Socket) reportLate(ending bool) {
	if text, ok := s.pace.take(time.Now(), ending); ok {
		s.handler.Status(text)
	}
}

// drain handles the messages in the socket, without waiting for more.
func (s *Socket) drain(in *inbox) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for range maxDrained {
			n, oobn, flags, _, err := unix.Recvmsg(int(fd), in.data, in.oob, unix.MSG_DONTWAIT|receiveFlags)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return
			}
			s.take(in, n, oobn, flags)
		}
	})
}

// inbox is the buffers for one datagram and its control messages.
type inbox struct{ data, oob []byte }

// maxFDs is how many descriptors the kernel lets one message carry.
const maxFDs = 253

func newInbox() *inbox {
	return &inbox{data: make([]byte, maxDatagram), oob: make([]byte, unix.CmsgSpace(4*maxFDs)+64)}
}

// take handles one datagram. The descriptors in it are closed when all of it was handled: a sender may wait for that
// (sd_notify_barrier).
func (s *Socket) take(in *inbox, n, oobn, flags int) {
	sender, fds := parseControl(in.oob[:oobn])
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	if !sender.trusted() {
		s.strangers++
		return
	}
	if flags&unix.MSG_TRUNC != 0 {
		s.refuse("it was longer than 4096 bytes")
		return
	}
	m := Parse(in.data[:n])
	if m.Stores {
		s.refuse("it asked to keep descriptors (FDSTORE=1)")
	}
	if s.handler.Raw != nil {
		s.handler.Raw(in.data[:n])
	}
	s.handler.Message(m)
	if m.HasStatus && s.pace.offer(time.Now(), m.Status) {
		s.handler.Status(m.Status)
	}
}

func (s *Socket) refuse(why string) {
	if !s.refused[why] {
		s.refused[why] = true
		s.handler.Refused(why)
	}
}

// sender is the process that sent a datagram, according to the kernel; known is false where it does not say.
type sender struct {
	uid   uint32
	known bool
}

func (from sender) trusted() bool {
	// Where the kernel does not say, the directory's rights keep others out.
	return !from.known || from.uid == 0 || from.uid == uint32(os.Geteuid())
}

// parseControl reads the sender and the descriptors of a datagram.
func parseControl(oob []byte) (from sender, fds []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return from, nil
	}
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
			continue
		}
		if who := credentials(&messages[i]); who.known {
			from = who
		}
	}
	return from, fds
}
