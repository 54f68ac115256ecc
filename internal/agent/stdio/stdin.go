package stdio

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/process/children"
)

// emptyLimit bounds the wait for a pipe to show that it is empty.
const emptyLimit = 50 * time.Millisecond

// OneReader returns what f is, "a pipe" or "a socket", if the attempt that reads it leaves
// nothing for another one; empty for everything else. A pipe or socket that is at its end
// without data, as cron's, gives every attempt the same. The wait for that end is bounded
// by 50 ms, and nothing is read.
func OneReader(f *os.File) string {
	switch kindOf(f) {
	case unix.S_IFIFO:
		if !atEnd(int(f.Fd()), emptyLimit) {
			return "a pipe"
		}
	case unix.S_IFSOCK:
		if !atEnd(int(f.Fd()), emptyLimit) {
			return "a socket"
		}
	}
	return ""
}

// kindLimit bounds the wait for the file system of an open file.
const kindLimit = time.Second

// kindOf returns the type of a file, as S_IFREG; 0 for none, and if its file system does not
// answer.
func kindOf(f *os.File) uint32 {
	if f == nil {
		return 0
	}
	fd := int(f.Fd())
	info, err := bounded.Call(kindLimit, func() (info unix.Stat_t, err error) {
		err = unix.Fstat(fd, &info)
		return info, err
	})
	if err != nil {
		return 0
	}
	return uint32(info.Mode) & unix.S_IFMT
}

// LeaveStdin closes the agent's own end of a pipe or socket that only the command reads: what
// writes into it then learns of the command's end, or of its close, as without the agent. A
// second call does nothing.
func (s *Streams) LeaveStdin() {
	f := s.cfg.Stdin
	if kind := kindOf(f); s.types() || s.cfg.KeepStdin || kind != unix.S_IFIFO && kind != unix.S_IFSOCK {
		return
	}
	null, err := children.OpenNull()
	if err != nil {
		return // the writer learns of it when the agent ends
	}
	defer null.Close()
	_ = dupTo(int(null.Fd()), int(f.Fd()))
}

// atEnd waits until a pipe or socket has data, or has ended, and reports whether it has
// ended without data.
func atEnd(fd int, atMost time.Duration) bool {
	deadline := time.Now().Add(atMost)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		left := max(0, time.Until(deadline))
		n, err := unix.Poll(fds, int((left + time.Millisecond - 1).Milliseconds()))
		switch {
		case err == unix.EINTR && left > 0:
			continue
		case err != nil || n == 0:
			return false
		}
		// A socket at its end can be read, as one with data can.
		waiting, err := unix.IoctlGetInt(fd, bytesWaiting)
		return err == nil && waiting == 0 && fds[0].Revents&(unix.POLLIN|unix.POLLHUP) != 0
	}
}

// Position is where a file was when the agent started.
type Position struct {
	file   *os.File
	offset int64
}

// PositionOf returns the position of a regular file or block device; of everything else, which
// cannot be set back, the zero Position.
func PositionOf(f *os.File) Position {
	if kind := kindOf(f); kind != unix.S_IFREG && kind != unix.S_IFBLK {
		return Position{}
	}
	at, err := unix.Seek(int(f.Fd()), 0, io.SeekCurrent)
	if err != nil {
		return Position{}
	}
	return Position{f, at}
}

// Restore sets the file back to its position.
func (p Position) Restore() error {
	if p.file == nil {
		return nil
	}
	if _, err := unix.Seek(int(p.file.Fd()), p.offset, io.SeekStart); err != nil {
		return fmt.Errorf("set stdin back to byte %d for the next attempt: %w", p.offset, err)
	}
	return nil
}
