package sink

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Watch notices when the reader of a pipe or socket goes away, also while nothing is written. It
// costs no thread: the files are in an epoll set, and that set is in the one of Go's poller.
type Watch struct{ set *os.File }

// NewWatch watches those of the files that are pipes or sockets, whose reader does not come
// back once it has gone away. A named pipe may get another reader, and a terminal or a file has
// none. It returns nil when there is nothing to watch, or the system cannot: then the next
// write shows it.
func NewWatch(files ...*os.File) *Watch {
	set := -1
	for i, f := range files {
		if f == nil || !hasOneReader(f) {
			continue
		}
		if set < 0 {
			var err error
			if set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
				return nil
			}
		}
		_ = control(f, func(fd int) error { // without it, the next write shows it
			return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(i)})
		})
	}
	if set < 0 {
		return nil
	}
	if err := unix.SetNonblock(set, true); err != nil { // so that Go's poller takes it
		_ = unix.Close(set)
		return nil
	}
	return &Watch{os.NewFile(uintptr(set), "epoll")}
}

// Next waits for the next file whose reader goes away, and returns its index. It returns
// false after Close.
func (w *Watch) Next() (index int, ok bool) {
	conn, err := w.set.SyscallConn()
	if err != nil {
		return 0, false
	}
	var events [1]unix.EpollEvent
	err = conn.Read(func(set uintptr) bool {
		n, err := unix.EpollWait(int(set), events[:], 0)
		ok = n == 1
		return ok || err != nil && !errors.Is(err, unix.EINTR)
	})
	return int(events[0].Fd), ok && err == nil
}

// Close ends Next. A nil Watch has nothing to end.
func (w *Watch) Close() {
	if w != nil {
		_ = w.set.Close() // it holds nothing
	}
}

// hasOneReader reports whether f is a socket, or a pipe without a name.
func hasOneReader(f *os.File) bool {
	one := false
	_ = control(f, func(fd int) error {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return err
		}
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFSOCK:
			one = true
		case unix.S_IFIFO:
			var system unix.Statfs_t
			err := unix.Fstatfs(fd, &system)
			one = err == nil && system.Type == unix.PIPEFS_MAGIC
		}
		return nil
	})
	return one
}

func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := conn.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}
